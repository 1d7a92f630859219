import type { ChildProcess } from 'node:child_process';

/** Ends the process group that `child` leads; in a namespace or a box, all of it ends. */
export function killGroup(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended.
  }
}
