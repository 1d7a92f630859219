import { randomUUID } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { chown, mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gitUser } from '../../../config/index.js';
import { errorCode } from '../boundary/path-refused.js';
import { BOX_USER } from '../sandbox/box-user.js';
import type { Moments } from './moments.js';
import type { Removals } from './removals.js';
import type { TreeLimits } from './tree-budget.js';
import { epochsIn, fence, namesIn } from './tree-home.js';
import { runTreeJob } from './tree-jobs.js';

/** One lease of a task, and the folder of the task's trees. */
export interface TreeLease {
  taskId: string;
  epoch: number;
  home: string;
}

/** A later lease has opened the task's tree: whoever holds this epoch has lost it. */
export class WorkTreeFencedError extends Error {
  override readonly name = 'WorkTreeFencedError';
  constructor(taskId: string, epoch: number) {
    super(`The work tree of task ${taskId} belongs to an epoch after ${epoch}.`);
  }
}

const WITHOUT_HISTORY = {
  too_large: 'The history of the workspace is too large for a work tree; tasks work without it.',
  elsewhere: 'The repository of the workspace has objects in another one (alternates); tasks work without its history.',
};

/** Makes the trees of leases. Whatever is made is made under a temporary name and renamed when it is whole. */
export class TreeMaker {
  private readonly logger = new Logger('WorkTrees');

  constructor(
    private readonly moments: Moments,
    private readonly removals: Removals,
  ) {}

  /**
   * Makes the first tree of a task, of one moment of the workspace; nothing when another process was faster.
   * @throws DomainError `workspace_too_large`, `workspace_unreadable`.
   */
  async create(
    { taskId, epoch, home: place }: TreeLease,
    { workspace, limits }: { workspace: string; limits: TreeLimits },
    signal?: AbortSignal,
  ): Promise<void> {
    const home = join(dirname(place), `.making-${taskId}-${epoch}-${randomUUID().slice(0, 8)}`);
    const tree = join(home, `tree-${epoch}`);
    try {
      await mkdir(home, { mode: 0o711 });
      await makeTreeFolder(tree);
      await this.moments.use(
        { workspace, limits, user: gitUser() },
        async (moment, moving) => {
          const history = await runTreeJob('fill', { workspace, moment, home, tree, limits }, signal);
          if (history === 'too_large' || history === 'elsewhere') this.logger.warn(WITHOUT_HISTORY[history]);
          const named = moving.slice(0, 20).join(', ');
          if (named !== '') this.logger.warn(`The tree of task ${taskId} holds files that kept changing: ${named}.`);
        },
        signal,
      );
      await rename(home, place);
    } catch (error) {
      await this.removals.take(home).catch((left: unknown) => {
        this.logger.warn(`A tree that was not finished cannot be removed yet: ${String(left)}`);
      });
      if (!['ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) throw error;
    }
  }

  /** Goes on in a copy of the newest tree, which loses its name. @throws WorkTreeFencedError when there is none to take over. */
  async takeOver({ taskId, epoch, home }: TreeLease, limits: TreeLimits, signal?: AbortSignal): Promise<void> {
    const { trees, fenced } = (await epochsIn(home)) ?? { trees: [], fenced: [] };
    if (Math.max(-1, ...trees, ...fenced) > epoch) throw new WorkTreeFencedError(taskId, epoch);
    const from = await fence(home);
    if (from === null) throw new WorkTreeFencedError(taskId, epoch);
    const to = join(home, `making-${epoch}-${randomUUID().slice(0, 8)}`);
    await makeTreeFolder(to);
    try {
      await runTreeJob('takeOver', { home, from, to, limits: doubled(limits) }, signal);
      await rename(to, join(home, `tree-${epoch}`));
    } catch (error) {
      await this.removals.take(to);
      throw error;
    }
  }

  /** Removes what older epochs left in the task's folder. */
  async tidy({ epoch, home }: TreeLease): Promise<void> {
    for (const name of await namesIn(home)) {
      const of = /^(?:tree|fenced|making)-(\d+)/.exec(name)?.[1];
      if (of !== undefined && name !== `tree-${epoch}` && Number(of) <= epoch) {
        await this.removals.take(join(home, name));
      }
    }
  }
}

/** A task may grow its tree to twice what a workspace may hold. */
export function doubled(limits: TreeLimits): TreeLimits {
  return { files: limits.files * 2, bytes: limits.bytes * 2 };
}

async function makeTreeFolder(path: string): Promise<void> {
  await mkdir(path, { mode: 0o755 });
  if (process.geteuid?.() === 0) await chown(path, BOX_USER.uid, BOX_USER.gid);
}
