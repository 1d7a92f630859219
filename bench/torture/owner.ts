import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { fileOf, isContested, MADE, ownersContent } from './work.js';

const LOOK_MS = 300;
/** Contested files that the owner has still to write. */
const DRAFT = '.owner-';

/**
 * The owner of the workspace. Takes each published file away once its task is complete and its content is right, so that the
 * workspace stays small; makes the contested files while their tasks are at work.
 */
export class Owner {
  /** Files that were published and taken away. */
  readonly taken = new Set<number>();
  /** Files that the owner made where a task was about to publish its own. */
  readonly contested = new Set<number>();
  /** Files that came again, or that were not what their task had made. */
  readonly faults: { doubled: string[]; wrong: string[] } = { doubled: [], wrong: [] };
  private looking: Promise<void> = Promise.resolve();
  private readonly stopping = new AbortController();

  /** @param idOf the task of a tag, as soon as it is known */
  constructor(
    private readonly workspace: string,
    private readonly pool: pg.Pool,
    private readonly idOf: (tag: number) => string | undefined,
  ) {}

  /** Makes the file of a contested task, once; where the disk does not let it, the task is not contested. */
  async contest(tag: number): Promise<void> {
    if (!isContested(tag) || this.contested.has(tag) || this.taken.has(tag)) return;
    this.contested.add(tag);
    const path = join(this.workspace, fileOf(tag).path);
    const draft = join(this.workspace, `${DRAFT}${tag}`);
    try {
      if ((await readFile(path, 'utf8').catch(() => null)) !== null) throw new Error('It is there.');
      await mkdir(join(this.workspace, MADE), { recursive: true });
      await writeFile(draft, ownersContent(tag));
      await rename(draft, path);
    } catch {
      this.contested.delete(tag);
      await rm(draft, { force: true }).catch(() => undefined);
    }
  }

  /** What is in the workspace at the path of the tag's file; null is nothing. */
  content(tag: number): Promise<string | null> {
    return readFile(join(this.workspace, fileOf(tag).path), 'utf8').catch(() => null);
  }

  start(): void {
    this.looking = this.look();
  }

  /** Looks for the last time. @returns the files that are left in the workspace, by their paths. */
  async stop(): Promise<string[]> {
    this.stopping.abort();
    await this.looking;
    await this.takeAway();
    for (const name of await readdir(this.workspace)) {
      if (name.startsWith(DRAFT)) await rm(join(this.workspace, name));
    }
    const left = await readdir(this.workspace, { recursive: true, withFileTypes: true });
    return left
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(this.workspace.length + 1));
  }

  private async look(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await this.takeAway().catch(() => undefined);
      await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  private async takeAway(): Promise<void> {
    const folder = join(this.workspace, MADE);
    const names = await readdir(folder).catch(() => []);
    const tags = names.flatMap((name) => (/^\d+\.txt$/.test(name) ? [Number.parseInt(name, 10)] : []));
    const known = new Map(tags.flatMap((tag) => [[this.idOf(tag) ?? '', tag] as const]).filter(([id]) => id !== ''));
    const { rows } = await this.pool.query<{ id: string }>(
      `select id from tasks where id = any($1::uuid[]) and status = 'complete'`,
      [[...known.keys()]],
    );
    for (const { id } of rows) {
      const tag = known.get(id) ?? -1;
      const content = await this.content(tag);
      if (content === null) continue;
      if (content !== fileOf(tag).content) {
        this.faults.wrong.push(`the file of the complete task ${tag} holds: ${content.slice(0, 100)}`);
      }
      await rm(join(this.workspace, fileOf(tag).path));
      if (this.taken.has(tag)) this.faults.doubled.push(`the file of task ${tag} came again`);
      this.taken.add(tag);
    }
  }
}
