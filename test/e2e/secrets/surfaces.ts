import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { execute } from '../../support/servers/test-servers.js';

/** Every row of every table of a database, as text. */
export async function databaseText(url: string): Promise<string> {
  const tables = await execute(url, `select tablename from pg_tables where schemaname = 'public' order by 1`);
  const rows: string[] = [];
  for (const { tablename } of tables) {
    const found = await execute(url, `select to_jsonb(t)::text as row from ${String(tablename)} t`);
    rows.push(...found.map(({ row }) => `${String(tablename)} ${String(row)}`));
  }
  return rows.join('\n');
}

/** Every command that a Redis server is sent from now on, and on `end` all it holds as well. */
export async function watchRedis(url: string): Promise<{ end(): Promise<string> }> {
  const client = new Redis(url);
  const monitor = await client.monitor();
  const seen: string[] = [];
  monitor.on('monitor', (_time: string, args: string[]) => seen.push(args.join(' ')));
  return {
    end: async () => {
      for (const key of await client.keys('*')) seen.push(key, (await client.dumpBuffer(key)).toString('latin1'));
      monitor.disconnect();
      client.disconnect();
      return seen.join('\n');
    },
  };
}

/** The content of every file below `folder`, with its path; names in `except` are left out. */
export function folderText(folder: string, except: readonly string[] = []): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !except.includes(entry.name))
    .map((entry) => `${entry.name} ${readFileSync(join(entry.parentPath, entry.name), 'latin1')}`)
    .join('\n');
}

/** What everybody on this machine can read of the descendants of `pid`, and what those inherited. */
export function descendants(pid: number): { arguments: string; environment: string }[] {
  const read = (file: string): string => {
    try {
      return readFileSync(file, 'latin1');
    } catch {
      return '';
    }
  };
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const parents = new Map(all.map((name) => [name, /\) \S (\d+)/.exec(read(`/proc/${name}/stat`))?.[1] ?? '0']));
  const descends = (name: string | undefined): boolean =>
    name !== undefined && name !== '0' && (parents.get(name) === `${pid}` || descends(parents.get(name)));
  return all
    .filter(descends)
    .map((name) => ({ arguments: read(`/proc/${name}/cmdline`), environment: read(`/proc/${name}/environ`) }));
}
