import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { freePort } from '../../support/servers/index.js';
import { ROOT, Setup } from './connection-setup.js';
import { eventually } from '../../support/eventually.js';

const MODULES = join(ROOT, 'node_modules');
const EVERYTHING = join(MODULES, '@modelcontextprotocol/server-everything/dist/index.js');
const FIRST = join(ROOT, 'test/integration/mcp/servers/first-sdk-server.mjs');
const MODERN = join(ROOT, 'test/integration/mcp/servers/modern-server.mjs');

let setup: Setup;
const children: ChildProcess[] = [];
beforeEach(() => {
  setup = new Setup();
});
afterEach(async () => {
  await setup.end();
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

async function everything(kind: 'streamableHttp' | 'sse', port: number): Promise<ChildProcess> {
  const child = spawn(process.execPath, [EVERYTHING, kind], {
    env: { PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await eventually('said.includes(String(port))', () => said.includes(String(port)));
  return child;
}

/** Starts a server that writes its port to the file that is its last argument; its address. */
async function listening(args: string[]): Promise<string> {
  const portFile = join(setup.folder.path, 'port');
  children.push(spawn(process.execPath, [...args, portFile], { stdio: 'ignore' }));
  await eventually(
    "existsSync(portFile) && readFileSync(portFile, 'utf8') !== ''",
    () => existsSync(portFile) && readFileSync(portFile, 'utf8') !== '',
  );
  return `http://127.0.0.1:${readFileSync(portFile, 'utf8')}`;
}

describe('a server on the first SDK, of 2024-11-05', () => {
  it.each(['stdio', 'sse'] as const)('over %s', async (transport) => {
    const where =
      transport === 'stdio' ? { args: [FIRST, 'stdio'] } : { args: [], url: `${await listening([FIRST, 'sse'])}/sse` };
    const connection = await setup.connect(setup.server({ name: 'first', transport, ...where }));
    expect(connection.state()).toMatchObject({ status: 'connected', activeTools: ['mcp__first__add'] });
    expect((await setup.call('mcp__first__add', { a: 1, b: 2 })).text).toContain('sum 3');
    expect(setup.eras).toEqual([expect.objectContaining({ kind: 'legacy' })]);
  });
});

describe('the published servers over standard streams', () => {
  it('everything', async () => {
    const connection = await setup.connect(
      setup.server({ name: 'all', args: [EVERYTHING], env: { SECRET_ONE: 'the-secret-of-all' } }),
    );
    expect(connection.state()).toMatchObject({ status: 'connected', lastError: null });
    expect((await setup.call('mcp__all__echo', { message: 'hello' })).text).toContain('hello');
    expect((await setup.call('mcp__all__get-tiny-image')).text).toMatch(/\[image: image\/png, \d+ bytes\]/);
    expect((await setup.call('mcp__all__get-env')).text).toContain('SECRET_ONE');
    expect((await setup.call('mcp__all__get-env')).text).not.toContain('the-secret-of-all');
    expect((await setup.call('mcp__all__get-structured-content', { location: 'New York' })).text).toContain(
      'temperature',
    );
  });

  it('filesystem, which sees the folder it was given', async () => {
    const folder = join(setup.folder.path, 'shared');
    mkdirSync(folder);
    writeFileSync(join(folder, 'note.txt'), 'a note');
    const args = [join(MODULES, '@modelcontextprotocol/server-filesystem/dist/index.js'), folder];
    await setup.connect(setup.server({ name: 'fs', args }));
    expect((await setup.call('mcp__fs__read_text_file', { path: join(folder, 'note.txt') })).text).toContain('a note');
    expect(await setup.call('mcp__fs__read_text_file', { path: '/etc/passwd' })).toMatchObject({ isError: true });
  });

  it('memory, started through npx', async () => {
    const args = ['--prefix', ROOT, '--no-install', 'mcp-server-memory'];
    const env = { MEMORY_FILE_PATH: join(setup.folder.path, 'memory.json') };
    const connection = await setup.connect(setup.server({ name: 'memory', command: 'npx', args, env }));
    expect(connection.state()).toMatchObject({ status: 'connected' });
    expect((await setup.call('mcp__memory__read_graph')).text).toContain('entities');
  });

  it.each([
    ['both', 'legacy'],
    ['reject', 'modern'],
  ])('one of the 2026 protocol (%s)', async (legacy) => {
    const server = setup.server({ name: 'modern', args: [MODERN, 'stdio', legacy] });
    const connection = await setup.connect(server);
    const activeTools = ['mcp__modern__grow', 'mcp__modern__add'];
    expect(connection.state()).toMatchObject({ status: 'connected', activeTools });
    expect((await setup.call('mcp__modern__add', { a: 1, b: 2 })).text).toContain('sum 3');
    await setup.call('mcp__modern__grow');
    await eventually("connection.state().activeTools.includes('mcp__modern__grown')", () =>
      connection.state().activeTools.includes('mcp__modern__grown'),
    );
    expect((await setup.call('mcp__modern__grown')).text).toContain('it has grown');
    expect(setup.eras).toEqual([expect.objectContaining({ kind: 'modern' })]);
    await connection.stop();
    const again = await setup.connect({ ...server, era: setup.eras[0] as never });
    expect(again.state()).toMatchObject({ status: 'connected' });
  });

  it('finds out anew when what it knew of the protocol no longer holds', async () => {
    const era = { kind: 'legacy' as const, at: new Date().toISOString() };
    const connection = await setup.connect(setup.server({ name: 'modern', args: [MODERN, 'stdio', 'reject'], era }));
    expect(connection.state()).toMatchObject({ status: 'connected' });
    expect(setup.eras).toEqual([expect.objectContaining({ kind: 'modern' })]);
  });
});

describe('the published servers over the network', () => {
  it.each([
    ['http', 'streamableHttp', '/mcp'],
    ['sse', 'sse', '/sse'],
  ] as const)('everything by %s, also after it was started again', async (transport, kind, path) => {
    const port = await freePort();
    const first = await everything(kind, port);
    const connection = await setup.connect(
      setup.server({
        name: 'net',
        transport,
        args: [],
        url: `http://127.0.0.1:${port}${path}`,
        headers: { 'X-Token': 'a-token-value' },
      }),
    );
    expect(connection.state()).toMatchObject({ status: 'connected', lastError: null });
    expect((await setup.call('mcp__net__echo', { message: 'over the net' })).text).toContain('over the net');
    first.kill('SIGKILL');
    await eventually('first.signalCode !== null', () => first.signalCode !== null);
    const dead = await setup.call('mcp__net__echo', { message: 'nobody' });
    expect(dead.text).toMatch(/MCP server "net"/);
    await everything(kind, port);
    await connection.verify();
    await eventually('it is connected', () => connection.state().status === 'connected');
    let answer = '';
    while (!answer.includes('again')) answer = (await setup.call('mcp__net__echo', { message: 'again' })).text;
  });

  it.each(['both', 'reject'])('one of the 2026 protocol (%s)', async (legacy) => {
    const url = `${await listening([MODERN, 'http', legacy])}/mcp`;
    const connection = await setup.connect(setup.server({ name: 'net', transport: 'http', args: [], url }));
    expect(connection.state()).toMatchObject({ status: 'connected', lastError: null });
    expect((await setup.call('mcp__net__add', { a: 2, b: 2 })).text).toContain('sum 4');
    await setup.call('mcp__net__grow');
    await eventually("connection.state().activeTools.includes('mcp__net__grown')", () =>
      connection.state().activeTools.includes('mcp__net__grown'),
    );
    expect((await setup.call('mcp__net__grown')).text).toContain('it has grown');
    expect(setup.eras).toEqual([expect.objectContaining({ kind: 'modern' })]);
  });
});
