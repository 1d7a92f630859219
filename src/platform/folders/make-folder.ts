import { existsSync, mkdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes `path` and what is missing above it, all with `mode`; the first folder that was made, undefined where all were there.
 * Rejects with the system's own reason: Node's recursive mkdir tells ENOENT of a file system that is read-only or out of quota.
 */
export async function makeFolder(path: string, mode?: number): Promise<string | undefined> {
  try {
    return await mkdir(path, { recursive: true, mode });
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    const first = firstMissing(path);
    await mkdir(first, { mode }).catch(unlessThere);
    await mkdir(path, { recursive: true, mode });
    return first;
  }
}

/** As `makeFolder`; throws the reason. */
export function makeFolderSync(path: string, mode?: number): void {
  try {
    mkdirSync(path, { recursive: true, mode });
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    try {
      mkdirSync(firstMissing(path), { mode });
    } catch (reason) {
      unlessThere(reason);
    }
    mkdirSync(path, { recursive: true, mode });
  }
}

function firstMissing(path: string): string {
  const above = dirname(path);
  return above === path || existsSync(above) ? path : firstMissing(above);
}

/** Another process may have made it meanwhile. */
function unlessThere(reason: unknown): void {
  if (codeOf(reason) !== 'EEXIST') throw reason;
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | null)?.code;
