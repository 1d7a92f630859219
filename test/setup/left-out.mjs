// What a machine cannot run of the tests, and what would bring it. A spec that needs a program says so in its first lines:
// `/** @needs redis-server */`. As root a missing program is installed, and in CI it is a fault: nothing is left out there.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const PRAGMA = /@needs ([a-z-]+)/g;

const runs = (command, ...args) => spawnSync(command, args, { stdio: 'ignore', timeout: 20_000 }).status === 0;

/** How each program is looked for, and its remedy. */
export const PROGRAMS = {
  'redis-server': {
    works: () => runs('redis-server', '--version'),
    remedy: 'install it (Debian: apt-get install redis-server)',
  },
  bwrap: {
    works: () => runs('bwrap', '--unshare-all', '--ro-bind', '/', '/', '--', 'true'),
    remedy:
      'install bubblewrap (Debian: apt-get install bubblewrap), and let unprivileged users make namespaces ' +
      '(sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0)',
  },
};

/** Only PgBouncer may be missing everywhere: no other system brings Debian's package. Its specs skip themselves. */
const POOLER = {
  program: 'pgbouncer',
  files: ['test/integration/database/pooler.int-spec.ts'],
  remedy: 'install it (Debian: apt-get install pgbouncer)',
};

function specs(folder = join(ROOT, 'test')) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return specs(path);
    return entry.name.endsWith('-spec.ts') ? [path] : [];
  });
}

/**
 * The specs that this machine cannot run, by the program that they need.
 * @returns {{ program: string, files: string[], remedy: string }[]} files relative to the project
 */
export function leftOut() {
  if (process.env.CI === 'true' || process.getuid?.() === 0) return [];
  const missing = Object.entries(PROGRAMS).filter(([, { works }]) => !works());
  if (missing.length === 0) return [];
  const needs = specs().map((path) => ({
    file: relative(ROOT, path).split(sep).join('/'),
    programs: [...readFileSync(path, 'utf8').slice(0, 500).matchAll(PRAGMA)].map(([, program]) => program),
  }));
  return missing.map(([program, { remedy }]) => ({
    program,
    remedy,
    files: needs.filter(({ programs }) => programs.includes(program)).map(({ file }) => file),
  }));
}

/** The last words of a run: nothing when it left nothing out. */
export function lastWords(left = leftOut(), hasPooler = runs(POOLER.program, '--version')) {
  const all = hasPooler ? left : [...left, POOLER];
  const lines = all.flatMap(({ program, files, remedy }) => [
    `  ${program}: ${remedy}.`,
    ...files.map((file) => `    ${file}`),
  ]);
  return lines.length === 0 ? '' : `Left out, because this machine lacks a program:\n${lines.join('\n')}\n`;
}
