import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { DomainError } from '../../../platform/errors/index.js';
import { inDirectory } from '../boundary/directory.js';
import { errorCode, PathRefusedError } from '../boundary/path-refused.js';
import { shownEncoding, type ShownEncoding } from './decoded-text.js';
import type { FileRecord } from './file-record.js';
import { contentHash, MAX_FILE_BYTES, type Difference } from './tree-diff.js';
import { BASE, lstatOrNull } from './tree-home.js';

/** The version at the base, or the task's. */
export type Side = 'before' | 'after';

/** Content that was found to be what its record says, open for reading. `close` it. */
export interface OpenContent {
  readonly size: number;
  /** The bytes from `start` to before `end`, in pieces of their own. */
  read(start: number, end: number): AsyncGenerator<Buffer>;
  close(): Promise<void>;
}

const CHUNK_BYTES = 128 * 1024;

/** The changes of a task at one moment, for people who look at them: nothing is held open, and nothing written. */
export class TreeLook {
  readonly contentHash: string;

  constructor(
    private readonly home: string,
    private readonly tree: string,
    /** Sorted by path. */
    readonly changes: readonly Difference[],
  ) {
    this.contentHash = contentHash(changes);
  }

  /**
   * Opens one version of a changed file; a link's content is its target.
   * @throws DomainError `content_changed` when it is no longer what the look found.
   */
  async open(change: Difference, side: Side): Promise<OpenContent> {
    const record = change[side];
    if (record === null) throw DomainError.notFound('version', `${change.path} (${side})`);
    try {
      const opened = await this.opened(change, side, record);
      const hash = createHash('sha256');
      try {
        for await (const piece of opened.read(0, record.size)) hash.update(piece);
      } catch (error) {
        await opened.close();
        throw error;
      }
      if (hash.digest('hex') === record.sha256) return opened;
      await opened.close();
    } catch (error) {
      if (!(error instanceof PathRefusedError) && errorCode(error) !== 'ENOENT') throw error;
    }
    throw new DomainError('content_changed', 'The file is no longer the one that was listed; list the changes again.');
  }

  /** Whether the tree is where it was: no later lease has taken it over, and the task has not ended. */
  async isThere(): Promise<boolean> {
    return (await lstatOrNull(this.tree)) !== null;
  }

  /** The encoding of one version; null for what is no text, undefined for what is too large to be looked at. */
  async encoding(change: Difference, side: Side): Promise<ShownEncoding | null | undefined> {
    const record = change[side];
    if (record === null || !isReadable(record)) return undefined;
    const content = await this.open(change, side);
    try {
      const pieces: Buffer[] = [];
      for await (const piece of content.read(0, record.size)) pieces.push(piece);
      return shownEncoding(Buffer.concat(pieces));
    } finally {
      await content.close();
    }
  }

  private async opened({ path }: Difference, side: Side, record: FileRecord): Promise<OpenContent> {
    if (side === 'before') return new FileContent(await open(join(this.home, BASE)), record.size, record.at ?? 0);
    const folder = path.split('/');
    const name = folder.pop() ?? '';
    return inDirectory(this.tree, folder, async (directory) =>
      record.type === 'link'
        ? new LinkContent(Buffer.from(await directory.linkTarget(name)))
        : new FileContent((await directory.file(name)).handle, record.size, 0),
    );
  }
}

/** Whether a version is small enough to be read as a text: what is larger is shown to no judge. */
export function isReadable(record: FileRecord): boolean {
  return record.size <= MAX_FILE_BYTES;
}

class FileContent implements OpenContent {
  constructor(
    private readonly handle: FileHandle,
    readonly size: number,
    /** Where in the file the content begins. */
    private readonly at: number,
  ) {}

  async *read(start: number, end: number): AsyncGenerator<Buffer> {
    for (let position = start; position < end;) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - position));
      const { bytesRead } = await this.handle.read(chunk, 0, chunk.length, this.at + position);
      if (bytesRead === 0) throw new PathRefusedError('The file became shorter while it was read.');
      yield chunk.subarray(0, bytesRead);
      position += bytesRead;
    }
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

class LinkContent implements OpenContent {
  constructor(private readonly target: Buffer) {}

  get size(): number {
    return this.target.length;
  }

  // eslint-disable-next-line typescript/require-await -- the interface reads files too
  async *read(start: number, end: number): AsyncGenerator<Buffer> {
    yield this.target.subarray(start, end);
  }

  async close(): Promise<void> {}
}
