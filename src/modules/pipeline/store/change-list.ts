import { isReadable, type Difference, type ShownEncoding, type Side, type TreeLook } from '../../tools/index.js';

/** One version of a changed file. */
export interface FileVersion {
  kind: 'file' | 'link';
  /** As git writes it. */
  mode: '100644' | '100755' | '120000';
  /** Bytes. */
  size: number;
  sha256: string;
  /** Of a text; null for what is none, and for what is too large to be looked at. */
  encoding: ShownEncoding | null;
  /** Null for what is too large to be looked at. */
  binary: boolean | null;
}

/** A changed file as the list of a task's changes keeps it. */
export interface ListedChange {
  path: string;
  before: FileVersion | null;
  after: FileVersion | null;
}

/** What is kept of a task's changes when its tree goes. */
export interface ChangeList {
  /** Sorted by path; the first of them, where there are very many. */
  changes: ListedChange[];
  total: number;
}

/** The artifact that holds a `ChangeList`, which is no agent's and not listed among the others. */
export const CHANGE_LIST = 'change_list';

const MODES = { file: '100644', executable: '100755', link: '120000' } as const;
const MOST_KEPT = 10_000;
/** Characters of the paths that are kept. */
const MOST_PATHS = 2 * 1024 * 1024;
/** Bytes that are read to tell encodings; of what comes after them it is not told. */
const MOST_READ = 64 * 1024 * 1024;

/** One change with both of its versions, which are read. @throws DomainError `content_changed`. */
export async function listedChange(look: TreeLook, change: Difference): Promise<ListedChange> {
  const [before, after] = await Promise.all([versionOf(look, change, 'before'), versionOf(look, change, 'after')]);
  return { path: change.path, before, after };
}

/** The bytes that `listedChange` reads. */
export function bytesRead({ before, after }: Difference): number {
  return [before, after].reduce((sum, record) => sum + (record !== null && isReadable(record) ? record.size : 0), 0);
}

/** The list of all changes of a tree, as far as it is kept. @throws DomainError `content_changed`. */
export async function changeList(look: TreeLook, signal?: AbortSignal): Promise<ChangeList> {
  const changes: ListedChange[] = [];
  let paths = 0;
  let read = 0;
  for (const change of look.changes) {
    signal?.throwIfAborted();
    paths += change.path.length;
    if (changes.length === MOST_KEPT || paths > MOST_PATHS) break;
    read += bytesRead(change);
    const isRead = read <= MOST_READ;
    changes.push(isRead ? await listedChange(look, change) : unreadChange(change));
  }
  return { changes, total: look.changes.length };
}

function unreadChange({ path, before, after }: Difference): ListedChange {
  return { path, before: recorded(before, undefined), after: recorded(after, undefined) };
}

async function versionOf(look: TreeLook, change: Difference, side: Side): Promise<FileVersion | null> {
  return recorded(change[side], change[side] === null ? undefined : await look.encoding(change, side));
}

function recorded(record: Difference[Side], encoding: ShownEncoding | null | undefined): FileVersion | null {
  if (record === null) return null;
  return {
    kind: record.type === 'link' ? 'link' : 'file',
    mode: MODES[record.type],
    size: record.size,
    sha256: record.sha256,
    encoding: encoding ?? null,
    binary: encoding === undefined ? null : encoding === null,
  };
}
