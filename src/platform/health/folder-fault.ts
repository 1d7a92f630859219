import { access, constants, lstat, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

const WRITABLE = constants.R_OK | constants.W_OK | constants.X_OK;

/**
 * Why the folder `path` of `variable` cannot be written, as a sentence; null when it can. One that is not there is made when it
 * is first needed, so the nearest folder above it decides.
 */
export async function folderFault(path: string, variable: string): Promise<string | null> {
  for (let folder = path; ; folder = dirname(folder)) {
    const code = await refusal(folder);
    if (code === null) return null;
    if (code === 'ENOENT' && folder !== dirname(folder)) continue;
    const what =
      folder === path
        ? `the folder ${path} of ${variable} cannot be written (${code})`
        : `the folder ${path} of ${variable} cannot be made, since ${folder} cannot be written (${code})`;
    return `${what}; give the user of the service access, or choose another`;
  }
}

/** The system's code for why `folder` cannot be written; null when it can. */
async function refusal(folder: string): Promise<string | null> {
  try {
    // What is no folder is told as that, whoever may use it.
    if (!(await stat(folder)).isDirectory()) return 'ENOTDIR';
    await access(folder, WRITABLE);
    return null;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    // A link that leads nowhere is there, and no folder can be made in its place.
    return code === 'ENOENT' && (await isThere(folder)) ? 'a link to nothing' : code;
  }
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
