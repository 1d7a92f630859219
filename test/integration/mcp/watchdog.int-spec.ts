import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startServerProcess } from '../../../src/modules/mcp/transports/server-process.js';
import { temporaryFolder } from '../../support/servers/index.js';
import { ROOT, SMALL } from './connection-setup.js';
import { eventually } from '../../support/eventually.js';

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
    await eventually('the program runs', () => running(word) > 0);
    const exited = new Promise((resolve) => child.once('exit', resolve));
    kill();
    await exited;
    await eventually('the program has ended', () => running(word) === 0);
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
    await eventually("said === 'hello'", () => said === 'hello');
  });
});

/** Only root may become a user of whom this machine knows nothing. */
const asRoot = process.getuid?.() === 0 ? it : it.skip;
asRoot('starts for a user without HOME and without an entry in passwd, whose home is then its folder', () => {
  chmodSync(folder.path, 0o777);
  const script = `
    const { startServerProcess } = await import(${JSON.stringify(join(ROOT, 'dist/modules/mcp/transports/server-process.js'))});
    const folder = ${JSON.stringify(folder.path)};
    const { child } = await startServerProcess({ command: 'sh', args: ['-c', 'echo "home: $HOME"'], env: {}, folder });
    child.stdout.pipe(process.stdout);`;
  const options = { uid: 12_345, gid: 12_345, env: { PATH: process.env['PATH'] ?? '' }, encoding: 'utf8' } as const;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], options);
  expect(said).toBe(`home: ${folder.path}\n`);
});
