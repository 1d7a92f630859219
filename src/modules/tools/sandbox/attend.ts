import { killGroup, type ChildProcess } from '../../../platform/processes/index.js';
import { goneFrom, type BoxProcess } from './box-process.js';
import { OutputWindow } from './output-window.js';

export interface Attended {
  /** Null when a signal ended it. */
  exitCode: number | null;
  /** Why the sandbox ended it, if it did. */
  stopped: 'timeout' | 'output' | null;
  /** Standard output and error together, the middle cut when it is long. */
  output: string;
}

/** Bytes kept of either end of an output. Both fit into a tool's result, so that it is cut once and says by how much. */
const WINDOW_BYTES = 15 * 1024;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** How long pipes may stay open after the command has ended: in a box they do not, on the host what fled may hold them. */
const PIPES_MS = 1_000;

/**
 * Reads what a child says until it has ended, ending it when it must, and waits until what it left running is gone.
 * @throws `signal.reason` when it aborted, then too only when all is gone.
 */
export async function attend(
  child: ChildProcess,
  first: Promise<BoxProcess | null> | undefined,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<Attended> {
  const output = new OutputWindow(WINDOW_BYTES);
  let stopped: Attended['stopped'] = null;
  const stop = (why: Attended['stopped']): void => {
    stopped ??= why;
    killGroup(child);
  };
  const cancel = (): void => stop(null);
  const timer = setTimeout(() => stop('timeout'), timeoutMs);
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  child.stdin?.on('error', () => undefined).end();
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output.add(chunk);
      if (output.total > MAX_OUTPUT_BYTES) stop('output');
    });
  }
  const exitCode = await new Promise<number | null>((resolve) => {
    child.once('close', resolve);
    child.once('exit', (code) => {
      killGroup(child);
      setTimeout(() => resolve(code), PIPES_MS).unref();
    });
  });
  clearTimeout(timer);
  signal.removeEventListener('abort', cancel);
  await goneFrom(await first);
  child.stdout?.destroy();
  child.stderr?.destroy();
  signal.throwIfAborted();
  return { exitCode, stopped, output: output.toString() };
}
