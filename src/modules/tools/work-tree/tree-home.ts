import type { Stats } from 'node:fs';
import { lstat, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '../boundary/path-refused.js';

/** In the folder of one task's trees: the content of the workspace's files when the task began, and the record of it. */
export const BASE = 'base';
export const MANIFEST = 'base.json';
const PUBLISHED = 'published.json';

interface Epochs {
  trees: number[];
  fenced: number[];
}

/** The epochs that have a tree in `home`; null while there is none that is whole. */
export async function epochsIn(home: string): Promise<Epochs | null> {
  const names = await namesIn(home);
  const of = (kind: string): number[] =>
    names.flatMap((name) => (name.startsWith(`${kind}-`) ? [Number(name.slice(kind.length + 1))] : []));
  return names.includes(MANIFEST) ? { trees: of('tree'), fenced: of('fenced') } : null;
}

/** Takes every tree's name away, so that whoever works or publishes under it finds nothing; the newest tree, or null. */
export async function fence(home: string): Promise<string | null> {
  const { trees, fenced } = (await epochsIn(home)) ?? { trees: [], fenced: [] };
  for (const epoch of trees) {
    try {
      await rename(join(home, `tree-${epoch}`), join(home, `fenced-${epoch}`));
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
  }
  const newest = Math.max(-1, ...trees, ...fenced);
  return newest === -1 ? null : join(home, `fenced-${newest}`);
}

/** Notes, before they are published, paths that are the task's doing and can be taken back. */
export async function notePublished(home: string, paths: readonly string[]): Promise<void> {
  const all = new Set([...(await publishedPaths(home)), ...paths]);
  const making = join(home, `${PUBLISHED}.making`);
  await writeFile(making, JSON.stringify([...all]), { mode: 0o600, flush: true });
  await rename(making, join(home, PUBLISHED));
}

/** The paths that `notePublished` was given, also by earlier epochs. */
export async function publishedPaths(home: string): Promise<string[]> {
  try {
    return JSON.parse(await readFile(join(home, PUBLISHED), 'utf8')) as string[];
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** The names in `folder`; none where there is no such folder. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** What stands at `path`, or null. */
export async function lstatOrNull(path: string): Promise<Stats | null> {
  try {
    return await lstat(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}
