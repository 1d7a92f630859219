/** @needs bwrap */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SERVICE_ROOT } from '../../../src/modules/tools/sandbox/service-folders.js';
import { temporaryFolder, type TemporaryFolder } from '../../support/servers/index.js';

/** Where the starter left a folder open: Node marks the lowest itself, and no gap is too wide for the others. */
const PLACES = [3, 9, 17, 40, 200];
const AS_ROOT = process.geteuid?.() === 0;
const LIST = 'for fd in /proc/$$/fd/*; do [ -e "$fd" ] && echo "${fd##*/} $(readlink "$fd")"; done';

let folder: TemporaryFolder;
let outside: string;

beforeAll(() => {
  folder = temporaryFolder();
  chmodSync(folder.path, 0o755);
  outside = join(folder.path, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'canary');
  for (const name of ['workspace', 'data', 'mcp']) {
    mkdirSync(join(folder.path, name));
    chmodSync(join(folder.path, name), 0o777);
  }
});
afterAll(() => folder.remove());

/** The output of `script`, a module, in a process that was started with a folder open at `PLACES`. */
async function saidBy(script: string): Promise<string> {
  const descriptor = openSync(outside, 'r');
  const stdio = Array.from({ length: Math.max(...PLACES) + 1 }, (_, fd) => {
    if (PLACES.includes(fd)) return descriptor;
    return fd === 1 ? 'pipe' : fd === 2 ? 'inherit' : 'ignore';
  });
  try {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, SERVICE_ROOT, folder.path], { stdio });
    let said = '';
    child.stdout?.on('data', (data: Buffer) => (said += data.toString()));
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(0);
    return said;
  } finally {
    closeSync(descriptor);
  }
}

const IMPORTS = `
  import 'reflect-metadata';
  const [, at, folder] = process.argv;
  const load = (path) => import(at + '/dist/' + path + '.js');
`;

it('reaches every child of a process that does nothing about it: the control', async () => {
  const said = await saidBy(`
    import { execFileSync } from 'node:child_process';
    process.stdout.write(execFileSync('/bin/cat', ['/proc/self/fd/40/secret', '/proc/self/fd/200/secret'], { stdio: [0, 'pipe', 2] }));
  `);
  expect(said).toBe('canarycanary');
});

const CHILDREN: Record<string, string> = {
  'a command in its box': `
    const { Sandbox } = await load('modules/tools/sandbox/sandbox');
    const { AppConfig } = await load('config/app-config');
    const sandbox = new Sandbox(AppConfig.from({ NOVA_WORKSPACE: folder + '/workspace', NOVA_DATA_DIR: folder + '/data' }));
    const box = { tier: 'workspace', network: false, root: folder + '/workspace', command: ['/bin/sh', '-c', LIST] };
    const { output } = await sandbox.run(box, { owner: 'test', timeoutMs: 20_000, signal: new AbortController().signal });
    process.stdout.write(output);`,
  'a command with a network in its box': `
    const { Sandbox } = await load('modules/tools/sandbox/sandbox');
    const { AppConfig } = await load('config/app-config');
    const sandbox = new Sandbox(AppConfig.from({ NOVA_WORKSPACE: folder + '/workspace', NOVA_DATA_DIR: folder + '/data' }));
    const box = { tier: 'nova', network: true, root: folder + '/workspace', command: ['/bin/sh', '-c', LIST] };
    const { output } = await sandbox.run(box, { owner: 'test', timeoutMs: 20_000, signal: new AbortController().signal });
    process.stdout.write(output);
    process.exit(0);`,
  'a command on the host': `
    const { Sandbox } = await load('modules/tools/sandbox/sandbox');
    const { AppConfig } = await load('config/app-config');
    const config = { NOVA_WORKSPACE: folder + '/workspace', NOVA_DATA_DIR: folder + '/data', SHELL_SANDBOX: 'host' };
    const { Logger } = await import('@nestjs/common');
    Logger.overrideLogger(false);
    const sandbox = new Sandbox(AppConfig.from(config));
    const box = { tier: 'host', network: true, root: folder + '/workspace', command: ['/bin/sh', '-c', LIST] };
    const { output } = await sandbox.run(box, { owner: 'test', timeoutMs: 20_000, signal: new AbortController().signal });
    process.stdout.write(output);`,
  ...Object.fromEntries(
    [true, false].map((watchdog) => [
      `an MCP program under a ${watchdog ? 'watchdog' : 'namespace'}`,
      `
    const { startServerProcess } = await load('modules/mcp/transports/server-process');
    const { child, kill } = await startServerProcess({
      command: 'sh', args: ['-c', LIST], env: {}, folder: folder + '/mcp', watchdog: ${watchdog},
    });
    child.stdout.pipe(process.stdout);
    child.once('exit', kill);`,
    ]),
  ),
  'a program of PostgreSQL': `
    const { spawnServer } = await load('platform/embedded-postgres/server-process');
    for (const shell of [false, true]) {
      const server = await spawnServer(['/bin/sh', '-c', LIST], { account: null, log: 1, shell });
      await server.ended;
    }`,
};

describe('a folder that the starter left open', () => {
  it.each(Object.keys(CHILDREN))('is closed in %s, which has three descriptors', async (name) => {
    const said = await saidBy(`${IMPORTS} const LIST = ${JSON.stringify(LIST)}; ${CHILDREN[name]}`);
    const lines = said.trim().split('\n');
    expect(lines.map((line) => line.split(' ')[0]).filter((fd) => !['0', '1', '2'].includes(fd ?? ''))).toEqual([]);
    expect(lines.length).toBeGreaterThanOrEqual(3);
    expect(said).not.toContain(outside);
  });

  it('is in no process of the embedded PostgreSQL', async () => {
    const said = await saidBy(`${IMPORTS}
      const { readdirSync, readlinkSync } = await import('node:fs');
      const { startEmbeddedPostgres } = await load('platform/embedded-postgres/embedded-postgres');
      const { findPostmaster } = await load('platform/embedded-postgres/postmaster');
      const server = await startEmbeddedPostgres({ dataDir: folder + '/data' });
      const { pid } = await findPostmaster(folder + '/data/postgres-16/data');
      const own = readdirSync('/proc/' + pid + '/fd').map((fd) => readlinkSync('/proc/' + pid + '/fd/' + fd));
      console.log(JSON.stringify(own));
      await server.stop();`);
    const links = JSON.parse(said) as string[];
    expect(links).not.toContain(outside);
    expect(links.length).toBeGreaterThan(3);
  });

  (AS_ROOT ? it : it.skip)('makes the probe refuse every box where it reaches one', async () => {
    const said = await saidBy(
      `${IMPORTS}
      const { ATTACK } = await load('modules/tools/sandbox/attack');
      const { spawnSync } = await import('node:child_process');
      const line = ATTACK.split('\\n').filter((one) => one.startsWith('fell()') || one.includes('/fd/')).join('\\n');
      process.stdout.write(spawnSync('/bin/sh', ['-c', line], { stdio: [0, 'pipe', 2] }).stdout);`.replace(
        "import 'reflect-metadata';",
        '',
      ),
    );
    expect(said).toMatch(/^descriptor \d+ is open\n$/);
  });
});

it('has a shell that lists what it really has', () => {
  expect(execFileSync('/bin/bash', ['-c', `exec 7</etc; sh -c '${LIST}'`], { encoding: 'utf8' })).toContain('7 /etc');
});
