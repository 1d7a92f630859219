import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where the service is installed: the folder above `src` or `dist`. */
export const SERVICE_ROOT = resolve(fileURLToPath(new URL('../../../../', import.meta.url)));

/** What the tier `nova` may read of the service; never its data folder, its environment or its dependencies. */
const READABLE = ['src', 'migrations', 'docs'];

/** The readable folders of the service that are installed here. */
export function serviceFolders(): { name: string; path: string }[] {
  return READABLE.map((name) => ({ name, path: join(SERVICE_ROOT, name) })).filter(({ path }) => existsSync(path));
}
