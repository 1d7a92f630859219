import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryFolder {
  readonly path: string;
  remove(): void;
}

/** Waits for its input to end, then removes the folder; servers in it that are still ending make it try again. */
const JANITOR = 'cat >/dev/null; for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$0" 2>/dev/null && exit; sleep 0.5; done';

/**
 * A folder with a short path that is gone when `remove` was called or this process has ended, however it ended: a detached
 * shell holds the other end of a pipe.
 */
export function temporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), 'nova-test-'));
  const janitor = spawn('/bin/sh', ['-c', JANITOR, path], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  janitor.unref();
  janitor.stdin.on('error', () => undefined);
  (janitor.stdin as unknown as { unref(): void }).unref();
  return {
    path,
    remove: () => {
      rmSync(path, { recursive: true, force: true, maxRetries: 10 });
      janitor.stdin.end();
    },
  };
}
