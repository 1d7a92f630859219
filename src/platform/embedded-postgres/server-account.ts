import { lstat, readFile } from 'node:fs/promises';

/** The operating-system account that PostgreSQL's programs run as; null is the account of this process. */
export type ServerAccount = { readonly uid: number; readonly gid: number } | null;

const NOBODY = 65_534;

/**
 * PostgreSQL refuses to run as root, so root hands its programs to the owner of the existing cluster, else to an
 * unprivileged account. That account needs an entry in /etc/passwd: initdb looks its own name up.
 */
export async function serverAccount(clusterFolder: string): Promise<ServerAccount> {
  if (process.getuid?.() !== 0) return null;
  const owner = await lstat(clusterFolder).catch(() => null);
  if (owner !== null && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const entries = await passwdEntries();
  const chosen =
    entries.find(({ uid }) => uid === NOBODY) ??
    entries.find(({ name }) => name === 'postgres' || name === 'nobody') ??
    entries.find(({ uid }) => uid !== 0);
  return chosen ?? { uid: NOBODY, gid: NOBODY };
}

/** An unprivileged uid that has a name, for an account that has none; null where there is no such uid. */
export async function namedUid(): Promise<number | null> {
  const entries = await passwdEntries();
  return (entries.find(({ uid }) => uid === NOBODY) ?? entries.find(({ uid }) => uid !== 0))?.uid ?? null;
}

async function passwdEntries(): Promise<{ name: string; uid: number; gid: number }[]> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => fields.length >= 4)
    .map(([name = '', , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }));
}
