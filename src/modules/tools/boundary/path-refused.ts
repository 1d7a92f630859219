/** A path that a tool may not use, or cannot. `message` is a sentence for the model; it names no place outside the root. */
export class PathRefusedError extends Error {
  override readonly name = 'PathRefusedError';
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'is not a folder, or goes through something that is none',
  EISDIR: 'is a folder',
  EEXIST: 'exists already',
  ENOTEMPTY: 'is a folder that is not empty',
  ELOOP: 'is a symbolic link, and links are not followed',
  ENAMETOOLONG: 'is too long',
  EACCES: 'may not be accessed',
  EPERM: 'may not be accessed',
  EROFS: 'is on a read-only file system',
  ENXIO: 'is not a regular file',
  ENODEV: 'is not a regular file',
  ETXTBSY: 'is being executed',
  EDQUOT: 'does not fit: the disk quota is used up',
  ENOSPC: 'does not fit: the disk is full',
  EFBIG: 'does not fit: the file would be too large',
};

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** `error` as a refusal of `path` where it is one of the file system's, else `error` itself. */
export function asRefusal(error: unknown, path: string | Buffer): unknown {
  const reason = REASONS[errorCode(error) ?? ''];
  return reason === undefined ? error : new PathRefusedError(`"${path.toString()}" ${reason}.`, { cause: error });
}
