import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { makeFolder } from '../../../platform/folders/index.js';
import { execFile } from '../../../platform/processes/index.js';
import { Directory } from '../boundary/directory.js';
import { errorCode } from '../boundary/path-refused.js';
import { removeTree } from '../boundary/tree-walk.js';
import { Slots } from '../sandbox/slots.js';
import { namesIn } from './tree-home.js';

/** Removals at one time: they wait for the disk, and tasks do not wait for them. */
const AT_ONCE = 1;
/** Trees that may wait while the machine has something better to do: more would fill the disk. */
const MOST_WAITING = 16;
const NEVER = new AbortController().signal;
setMaxListeners(0, NEVER);

/**
 * Removes trees apart from the work: what is to go is moved into `folder` at once and deleted from there one after the other,
 * when neither the processor nor the disk has anything better to do, or at once when many wait. What a crash leaves there goes in
 * the next sweep.
 */
export class Removals {
  private readonly logger = new Logger('WorkTrees');
  private readonly slots = new Slots(AT_ONCE);
  private readonly queued = new Set<string>();

  constructor(private readonly folder: string) {}

  /** Takes `path` out of the way; its space comes back later. Nothing there is fine. */
  async take(path: string): Promise<void> {
    const name = randomUUID();
    await makeFolder(this.folder, 0o700);
    try {
      await rename(path, join(this.folder, name));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return;
      throw error;
    }
    this.queue(name);
  }

  /** Goes on with what an earlier process, or a removal that failed, has left. */
  async sweep(): Promise<void> {
    for (const name of await namesIn(this.folder)) this.queue(name);
  }

  private queue(name: string): void {
    if (this.queued.has(name)) return;
    this.queued.add(name);
    void this.slots
      .use('removals', NEVER, () => this.remove(name))
      .catch((error: unknown) => this.logger.warn(`A work tree could not be removed yet: ${String(error)}`))
      .finally(() => this.queued.delete(name));
  }

  /** `rm` does nearly all of it without this process; what it may not enter is removed by descriptor. */
  private async remove(name: string): Promise<void> {
    const rm = ['rm', '-rf', '--one-file-system', '--', join(this.folder, name)];
    const gently = ['ionice', '-c', '3', 'nice', '-n', '19', ...rm];
    const [program = '', ...args] = this.queued.size > MOST_WAITING ? rm : gently;
    await new Promise<void>((resolve) => {
      execFile(program, args, { env: { PATH: '/usr/local/bin:/usr/bin:/bin' } }, () => resolve()).unref();
    });
    if (!(await namesIn(this.folder)).includes(name)) return;
    const directory = await Directory.root(this.folder);
    try {
      if (!(await removeTree(directory, name))) this.logger.warn(`${name} could not be removed yet.`);
    } finally {
      await directory.close();
    }
  }
}
