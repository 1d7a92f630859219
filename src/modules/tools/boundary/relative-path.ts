import { PathRefusedError } from './path-refused.js';

const MAX_PATH_BYTES = 4096;
const MAX_NAME_BYTES = 255;

/** Where sandboxed commands see the root; file tools take the same spelling. */
const ROOT_ALIAS = '/workspace';

/**
 * The components of a path relative to a root, as a model writes it. `.` and empty components vanish; the path may begin
 * with `/workspace`, under which commands see the root. Whether the components exist, or are links, is for the walk to say.
 * @throws PathRefusedError for any other absolute path, `..`, NUL, and what is longer than file systems take.
 */
export function parsePath(path: string): string[] {
  const shown = path.length > 200 ? `${path.slice(0, 200)}…` : path;
  if (path.includes('\0') || !path.isWellFormed())
    throw new PathRefusedError('The path holds characters that no path may hold.');
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw new PathRefusedError(`"${shown}" is too long.`);
  let relative = path;
  if (path === ROOT_ALIAS || path.startsWith(`${ROOT_ALIAS}/`)) relative = path.slice(ROOT_ALIAS.length + 1);
  else if (path.startsWith('/')) {
    throw new PathRefusedError(`"${shown}" is absolute; paths are relative to the root of the workspace.`);
  }
  const segments = relative.split('/').filter((segment) => segment !== '' && segment !== '.');
  for (const segment of segments) {
    if (segment === '..') throw new PathRefusedError(`"${shown}" contains "..", which is not followed.`);
    if (Buffer.byteLength(segment) > MAX_NAME_BYTES)
      throw new PathRefusedError(`"${shown}" has a name that is too long.`);
  }
  return segments;
}

/**
 * `name` as the most forgiving of file systems knows it: in small letters, without characters that nobody sees (HFS+ ignores
 * them), without the stream after a colon and without the dots and spaces at its end (NTFS drops them).
 */
export function foldedName(name: string): string {
  return name
    .replace(/[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cc}]/gu, '')
    .normalize('NFKC')
    .replace(/[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cc}]/gu, '')
    .toLowerCase()
    .replace(/:.*$/s, '')
    .replace(/[. ]+$/, '');
}

/**
 * Whether `name` is `.git`, or what some file system takes for it or for a path through it: any case, trailing dots and
 * spaces, the short name that FAT gives it, a backslash for a slash, characters that HFS+ ignores.
 */
export function isGitName(name: string): boolean {
  return name.split('\\').some((part) => /^(?:\.git|git~\d+)$/.test(foldedName(part)));
}

/** @throws PathRefusedError when any component is `.git`, however it is spelt. */
export function refuseGit(segments: readonly string[]): void {
  if (segments.some(isGitName))
    throw new PathRefusedError(`"${segments.join('/')}" is inside .git, which tools do not write.`);
}
