import { randomUUID } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A control group of the kernel that one box runs in. */
export interface BoxGroup {
  /** What a command line begins with, so that all of it is in the group from its first instruction on. */
  readonly enter: readonly string[];
  /** Whether the kernel ended the box for the memory it took. */
  exceeded(): Promise<boolean>;
  /** Ends what is left in it and removes it. */
  remove(): Promise<void>;
}

const NEEDED = ['memory', 'pids'];
const ENTER = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
/** A group goes only when the kernel has taken its last process out of it. */
const TRIES = 50;
const PAUSE_MS = 20;

/**
 * Control groups (version 2) for boxes, beside the service's own, where the group above it is given to the service with
 * `memory` and `pids` turned on, as systemd does by `Delegate=memory pids` and `DelegateSubgroup=service`. There the kernel
 * holds a box to its bounds at each allocation; the watch measures it all the same.
 */
export class BoxGroups {
  private constructor(private readonly folder: string) {}

  /** Null where there is no such group. */
  static find(mounts: readonly string[] = ['/sys/fs/cgroup'], self = '/proc/self/cgroup'): BoxGroups | null {
    for (const mount of mounts) {
      try {
        const own = /^0::(\/.+)$/m.exec(readFileSync(self, 'utf8'))?.[1];
        if (own === undefined) return null;
        const above = dirname(join(mount, own));
        if (!above.startsWith(mount)) continue;
        const on = readFileSync(join(above, 'cgroup.subtree_control'), 'utf8').trim().split(/\s+/);
        accessSync(above, constants.W_OK);
        accessSync(join(above, 'cgroup.procs'), constants.W_OK);
        if (NEEDED.every((name) => on.includes(name))) return new BoxGroups(above);
      } catch {
        // Not mounted there, or not the service's.
      }
    }
    return null;
  }

  /** A group with these bounds; null where the kernel does not make it. */
  async make(bounds: { memory: number; processes: number }): Promise<BoxGroup | null> {
    const path = join(this.folder, `box-${randomUUID()}`);
    const set = (name: string, value: string): Promise<void> => writeFile(join(path, name), value);
    try {
      await mkdir(path);
      await set('memory.max', `${bounds.memory}`);
      await set('memory.oom.group', '1');
      await set('pids.max', `${bounds.processes}`);
      // Kernels without swap accounting do not have it.
      await set('memory.swap.max', '0').catch(() => undefined);
    } catch {
      await rmdir(path).catch(() => undefined);
      return null;
    }
    return {
      enter: ['/bin/sh', '-c', ENTER, path],
      exceeded: async () => {
        const events = await readFile(join(path, 'memory.events'), 'utf8').catch(() => '');
        return Number(/^oom_kill (\d+)$/m.exec(events)?.[1] ?? 0) > 0;
      },
      remove: async () => {
        await set('cgroup.kill', '1').catch(() => undefined);
        for (let tries = 0; tries < TRIES; tries += 1) {
          const gone = await rmdir(path).then(
            () => true,
            (error: NodeJS.ErrnoException) => error.code !== 'EBUSY',
          );
          if (gone) return;
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
        }
      },
    };
  }
}
