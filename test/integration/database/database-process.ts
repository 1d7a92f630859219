import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface ProcessEvent {
  event: 'started' | 'state' | 'displaced' | 'refused';
  ready?: boolean;
  reason?: string | null;
}

/** A process that does to its database what the service does: see `database-process.main.ts`. */
export interface DatabaseProcess {
  readonly pid: number;
  /** Waits for an event that `matches`, among those not waited for yet. */
  until(matches: (event: ProcessEvent) => boolean): Promise<ProcessEvent>;
  ready(): Promise<void>;
  /** Sends a signal and waits for the end; returns the exit code, null after a fatal signal. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  readonly ended: Promise<number | null>;
}

const running = new Set<ChildProcess>();

/** Ends what a failed test left running. */
export async function endDatabaseProcesses(): Promise<void> {
  for (const child of running) {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

const ROOT = join(fileURLToPath(import.meta.url), '../../../..');

export function startDatabaseProcess(
  env: Record<string, string>,
  account: { uid: number; gid: number } | null = null,
): DatabaseProcess {
  const main = join(ROOT, 'test/integration/database/database-process.main.ts');
  const loader = join(ROOT, 'scripts/typescript.mjs');
  const child = spawn(process.execPath, ['--import', loader, main], {
    ...account,
    cwd: '/',
    env: { PATH: process.env.PATH, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  running.add(child);
  const ended = once(child, 'exit').then(([code]) => {
    running.delete(child);
    return code as number | null;
  });
  const seen: ProcessEvent[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => waiting.forEach((check) => check());
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  createInterface({ input: child.stdout }).on('line', (line) => {
    seen.push(JSON.parse(line) as ProcessEvent);
    wake();
  });
  void once(child, 'close').then(wake);

  const until = (matches: (event: ProcessEvent) => boolean): Promise<ProcessEvent> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const index = seen.findIndex(matches);
        if (index >= 0) {
          waiting.delete(check);
          resolve(seen.splice(0, index + 1).at(-1) as ProcessEvent);
        } else if (child.stdout.closed) {
          waiting.delete(check);
          reject(new Error(`the process ended first: ${JSON.stringify(seen)} ${stderr}`));
        }
      };
      waiting.add(check);
      check();
    });
  return {
    pid: child.pid ?? 0,
    until,
    ready: async () => void (await until(({ ready }) => ready === true)),
    end: async (signal) => {
      child.kill(signal);
      return ended;
    },
    ended,
  };
}
