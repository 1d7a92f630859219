import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startServerProcess } from '../../../src/modules/mcp/transports/server-process.js';
import { temporaryFolder } from '../../support/servers/index.js';
import { eventually, SMALL } from './connection-setup.js';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const running = (mark: string): number =>
  execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(mark)).length;
const mark = (): string => `mark-${Math.random().toString(36).slice(2)}`;

describe.each([
  ['a watchdog', true],
  ['a namespace', false],
])('a server process under %s', (_what, watchdog) => {
  it('ends with all of its group when it is let go of', async () => {
    const word = mark();
    const args = [
      '-c',
      `sleep 1000 & exec "$0" "$@"`,
      process.execPath,
      SMALL,
      JSON.stringify({ word, child: true, ignoreEnd: true }),
    ];
    const { child, kill } = await startServerProcess({
      command: '/bin/sh',
      args,
      env: { WORD: word },
      folder: folder.path,
      watchdog,
    });
    await eventually(() => running(word) > 0);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    kill();
    await exited;
    await eventually(() => running(word) === 0);
  });

  it('reads its input, and its end is seen', async () => {
    const { child, kill } = await startServerProcess({
      command: 'cat',
      args: [],
      env: {},
      folder: folder.path,
      watchdog,
    });
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.stdin?.end('hello');
    expect(await exited).toBe(0);
    kill();
    await eventually(() => said === 'hello');
  });
});
