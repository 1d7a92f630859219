import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { inDirectory } from '../boundary/directory.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { chunksOf, contentOf, type FileRecord } from './file-record.js';
import { BASE } from './tree-home.js';

/** Where the content of recorded paths is: in a tree, or in a base. */
export interface RecordedContent {
  /** All of it, which is as large as the record says. @throws PathRefusedError when it is something else by now. */
  read(path: string, record: FileRecord): Promise<Buffer>;
  /**
   * Gives the content of a file to `use` in pieces, failing before the last is taken when it is not what was recorded.
   * @throws PathRefusedError
   */
  stream(path: string, record: FileRecord, use: (content: AsyncIterable<Buffer>) => Promise<void>): Promise<void>;
}

const CHUNK_BYTES = 128 * 1024;

/** The files and links of a tree, which may be changed by something else at any time. */
export class TreeContent implements RecordedContent {
  constructor(private readonly root: string) {}

  async read(path: string, record: FileRecord): Promise<Buffer> {
    const { folder, name } = placeOf(path);
    const content = await inDirectory(this.root, folder, (directory) => contentOf(directory, name, record.size));
    return content === null ? refuse(path) : checked(path, record, content);
  }

  stream(path: string, record: FileRecord, use: (content: AsyncIterable<Buffer>) => Promise<void>): Promise<void> {
    const { folder, name } = placeOf(path);
    return inDirectory(this.root, folder, async (directory) => {
      const source = await directory.file(name);
      try {
        await use(whole(path, record, chunksOf(source)));
      } finally {
        await source.handle.close();
      }
    });
  }
}

/** The pack of a base, by the places that its record gives. */
export class BaseContent implements RecordedContent {
  private readonly pack: string;

  /** @param home The folder of a task's trees. */
  constructor(home: string) {
    this.pack = join(home, BASE);
  }

  async read(path: string, record: FileRecord): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.chunks(record)) chunks.push(Buffer.from(chunk));
    return checked(path, record, Buffer.concat(chunks));
  }

  stream(path: string, record: FileRecord, use: (content: AsyncIterable<Buffer>) => Promise<void>): Promise<void> {
    return use(whole(path, record, this.chunks(record)));
  }

  private async *chunks({ at = 0, size }: FileRecord): AsyncGenerator<Buffer> {
    const handle = await open(this.pack);
    try {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size));
      for (let read = 0; read < size;) {
        const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, size - read), at + read);
        if (bytesRead === 0) return;
        yield chunk.subarray(0, bytesRead);
        read += bytesRead;
      }
    } finally {
      await handle.close();
    }
  }
}

async function* whole(path: string, record: FileRecord, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
  if (hash.digest('hex') !== record.sha256) refuse(path);
}

function checked(path: string, record: FileRecord, content: Buffer): Buffer {
  return createHash('sha256').update(content).digest('hex') === record.sha256 ? content : refuse(path);
}

function refuse(path: string): never {
  throw new PathRefusedError(`"${path}" is being changed meanwhile.`);
}

function placeOf(path: string): { folder: string[]; name: string } {
  const segments = path.split('/');
  return { folder: segments.slice(0, -1), name: segments.at(-1) ?? '' };
}
