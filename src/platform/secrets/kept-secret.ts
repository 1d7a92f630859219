import { randomBytes } from 'node:crypto';
import { chmodSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolderSync } from '../folders/index.js';

const WELL_FORMED = /^[\w-]{43}$/;

/**
 * Reads the secret in `file` (32 random bytes in base64url, for its owner only), or makes one. `link` lets exactly one of
 * several processes that start together win, and shows the file only when it is whole.
 * @throws Error when the file cannot be kept, or holds something else.
 */
export function keptSecret(file: string): string {
  makeFolderSync(dirname(file));
  const draft = `${file}.${process.pid}.${randomBytes(6).toString('hex')}`;
  writeFileSync(draft, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  chmodSync(file, 0o600);
  const secret = readFileSync(file, 'utf8').trim();
  if (!WELL_FORMED.test(secret)) throw new Error('the file does not hold a secret that this service made');
  return secret;
}
