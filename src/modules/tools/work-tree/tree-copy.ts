import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import type { Directory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { walkTree, type WalkOptions } from '../boundary/tree-walk.js';
import { chunksOf, fileType, linkRecord, type FileRecord } from './file-record.js';
import type { TreeBudget } from './tree-budget.js';

export interface CopyOptions extends WalkOptions {
  budget: TreeBudget;
  /** Called for every file and link with what was copied. */
  onCopied?: (path: string, record: FileRecord) => void;
  /** Leaves links out. */
  withoutLinks?: boolean;
  /**
   * Lets the kernel copy, sharing blocks where the file system can. Only for a source that nothing else writes: the
   * permission bits come along unseen, and no record is made.
   */
  trusted?: boolean;
}

/**
 * Copies what is below `source` into `target`, both walked by descriptor. Files and links are copied, folders made,
 * anything else is left out, as is what vanishes meanwhile. Copies belong to the owner of `target`, without set-id bits.
 * @throws DomainError `workspace_too_large` when the budget is spent; what was copied until then stays.
 */
export async function copyTree(source: Directory, target: Directory, options: CopyOptions): Promise<void> {
  const open: { prefix: string; directory: Directory }[] = [{ prefix: '', directory: target }];
  try {
    for await (const { path, name, parent, kind } of walkTree(source, options)) {
      const prefix = path.slice(0, path.length - name.length);
      while (open.length > 1 && open.at(-1)?.prefix !== prefix) await open.pop()?.directory.close();
      const into = open.at(-1)?.directory ?? target;
      if (kind === 'folder') {
        await into.makeDirectory(name);
        open.push({ prefix: `${path}/`, directory: await into.directory(name) });
      } else if (kind === 'link') {
        if (!options.withoutLinks) await copyLink(path, name, parent, into, options);
      } else if (kind === 'file') await copyOne(path, name, parent, into, options);
    }
  } finally {
    for (const { directory } of open.slice(1).reverse()) await directory.close();
  }
}

async function copyOne(
  path: string,
  name: string,
  from: Directory,
  into: Directory,
  options: CopyOptions,
): Promise<void> {
  options.budget.charge(0);
  if (options.trusted) {
    await copyFile(from.at(name), into.at(name), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    await into.adopt(name);
    return;
  }
  let source: Awaited<ReturnType<Directory['file']>>;
  try {
    source = await from.walkedFile(name);
  } catch (error) {
    if (error instanceof PathRefusedError) return;
    throw error;
  }
  try {
    options.budget.grow(source.stat.size);
    const type = fileType(source.stat);
    const copy = await into.createFile(name, type === 'executable' ? 0o755 : 0o644);
    try {
      const hash = createHash('sha256');
      let size = 0;
      for await (const chunk of chunksOf(source)) {
        size += chunk.length;
        if (size > source.stat.size) options.budget.grow(chunk.length);
        hash.update(chunk);
        await copy.writeFile(chunk);
      }
      options.onCopied?.(path, { type, sha256: hash.digest('hex'), size });
    } finally {
      await copy.close();
    }
  } finally {
    await source.handle.close();
  }
}

async function copyLink(
  path: string,
  name: string,
  from: Directory,
  into: Directory,
  options: CopyOptions,
): Promise<void> {
  options.budget.charge(0);
  let target: string;
  try {
    target = await from.linkTarget(name);
  } catch (error) {
    if (error instanceof PathRefusedError) return;
    throw error;
  }
  await into.replaceLink(name, target);
  options.onCopied?.(path, linkRecord(target));
}
