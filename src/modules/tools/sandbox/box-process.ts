import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';

/** A process by its id and its start, since ids are used again. */
export interface BoxProcess {
  pid: number;
  startedAt: string;
}

const POLL_MS = 2;
const PATIENCE_MS = 5_000;

/** The first process of a box, as bubblewrap tells it on `pipe`; null when it ended before it could be looked at. */
export async function firstProcess(pipe: Readable | Writable | null | undefined): Promise<BoxProcess | null> {
  if (!pipe || !('read' in pipe)) return null;
  let text = '';
  try {
    for await (const chunk of pipe) text += String(chunk);
  } catch {
    return null;
  }
  const pid = Number(/"child-pid":\s*(\d+)/.exec(text)?.[1]);
  const startedAt = Number.isInteger(pid) ? lifeOf(pid) : null;
  return startedAt === null ? null : { pid, startedAt };
}

/**
 * Waits until the first process of a box has ended. The kernel ends every other process of its namespace before it, also
 * those that were detached: bubblewrap itself reports the end of the command without waiting for them.
 */
export async function goneFrom(process: BoxProcess | null | undefined): Promise<void> {
  if (!process) return;
  const deadline = performance.now() + PATIENCE_MS;
  while (lifeOf(process.pid) === process.startedAt && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** When the process `pid` was started, in the kernel's ticks; null when it has ended. */
export function lifeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? null : (fields[18] ?? null);
  } catch {
    return null;
  }
}
