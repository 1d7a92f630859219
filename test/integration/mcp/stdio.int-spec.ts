import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Setup } from './connection-setup.js';
import { eventually } from '../../support/eventually.js';

let setup: Setup;
beforeEach(() => {
  setup = new Setup();
});
afterEach(() => setup.end());

/** Processes whose command line holds `mark`; their ids in whatever namespace do not matter. */
function running(mark: string): number {
  return execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes(mark) && !line.startsWith('ps ')).length;
}
const mark = (): string => `mark-${Math.random().toString(36).slice(2)}`;

describe('calls', () => {
  it('answers with texts, structured content, pictures and errors', async () => {
    await setup.connect(setup.server());
    expect((await setup.call('mcp__small__echo', { text: 'hello' })).text).toContain('you said: hello');
    expect((await setup.call('mcp__small__data')).text).toContain('{"answer":42}');
    expect((await setup.call('mcp__small__picture')).text).toContain('[image: image/png, 300 bytes]');
    expect(await setup.call('mcp__small__fail')).toMatchObject({
      isError: true,
      text: expect.stringContaining('it went wrong'),
    });
    expect((await setup.call('mcp__small__refuse')).text).toContain('refused the call');
    expect((await setup.call('mcp__small__refuse')).text).toContain('not today');
    expect((await setup.call('mcp__small__echo', { text: 1 })).text).toContain('not valid');
  });

  it('runs a hundred at once on one server', async () => {
    await setup.connect(setup.server());
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => setup.call('mcp__small__echo', { text: `<${i}>` })),
    );
    answers.forEach((answer, i) => expect(answer.text).toContain(`you said: <${i}>`));
  });

  it('cancels a call in the server, too', async () => {
    await setup.connect(setup.server());
    const turn = new AbortController();
    const call = setup.call('mcp__small__never', {}, turn.signal);
    const rejected = expect(call).rejects.toThrow('the turn was cancelled');
    await setup.begun(1);
    turn.abort(new Error('the turn was cancelled'));
    await rejected;
    expect((await setup.call('mcp__small__cancelled')).text).toMatch(/\[\d+\]/);
  });

  it('says at once that a server died, with its name and its last words, and connects again', async () => {
    const connection = await setup.connect(setup.server());
    await setup.connect(setup.server({ name: 'other' }));
    const [dead, alive] = await Promise.all([
      setup.call('mcp__small__die'),
      setup.call('mcp__other__echo', { text: 'a' }),
    ]);
    expect(dead.text).toMatch(/MCP server "small" ended while it worked.*exit code 7: a fatal thing happened/);
    expect(alive.text).toContain('you said: a');
    await eventually('it is failed', () => connection.state().status === 'failed');
    expect((await setup.call('mcp__small__echo', { text: 'b' })).text).toMatch(
      /"small" is not connected: the connection was lost/,
    );
    await eventually('it is connected', () => connection.state().status === 'connected');
    expect((await setup.call('mcp__small__echo', { text: 'c' })).text).toContain('you said: c');
  });

  it('bears megabytes, and fails the call whose answer is too large', async () => {
    const connection = await setup.connect(setup.server());
    expect((await setup.call('mcp__small__big', { bytes: 3_000_000 })).text).toContain('bytes cut');
    expect((await setup.call('mcp__small__big', { bytes: 9_000_000 })).text).toContain('larger than 4 MiB');
    expect((await setup.call('mcp__small__echo', { text: 'still here' })).text).toContain('still here');
    expect(connection.state().status).toBe('connected');
  });

  it('takes a text of 4 MiB', async () => {
    await setup.connect(setup.server());
    const { text, isError } = await setup.call('mcp__small__big', { bytes: 4 * 1024 * 1024 });
    expect(text).toMatch(/[0-9]+ bytes cut/);
    expect(isError).not.toBe(true);
  });

  it('does not wait for the end of a line that has none', async () => {
    const connection = await setup.connect(setup.server());
    const answer = await setup.call('mcp__small__endless');
    expect(answer.text).toMatch(/MCP server "small" ended.*more than 4 MiB/);
    await eventually('it is failed', () => connection.state().status === 'failed');
    await eventually('it is connected', () => connection.state().status === 'connected');
    expect((await setup.call('mcp__small__echo', { text: 'again' })).text).toContain('you said: again');
  });

  it('tells how far a call had come that ended with its server', async () => {
    await setup.connect(setup.server());
    const never = setup.call('mcp__small__never');
    await setup.begun(1);
    await setup.call('mcp__small__die');
    expect((await never).text).toContain('It last reported the progress 3 of 10 (three of ten)');
  });

  it('bears garbage on standard output and floods on standard error', async () => {
    await setup.connect(setup.server({}, { garbage: 500, stderr: 500 }));
    expect((await setup.call('mcp__small__flood')).text).toContain('flooded');
    expect((await setup.call('mcp__small__echo', { text: 'a' })).text).toContain('you said: a');
  });

  it('gives up on what writes nothing but garbage', async () => {
    const connection = await setup.connect(setup.server({ command: 'sh', args: ['-c', 'yes nonsense'] }));
    expect(connection.state()).toMatchObject({
      status: 'failed',
      lastError: expect.stringContaining('what is not MCP'),
    });
  });
});

describe('the environment of a server', () => {
  it('is what its row says, PATH, HOME and LANG; its secrets do not come back', async () => {
    process.env['NOVA_CANARY'] = 'canary-of-the-service';
    const env = {
      GIVEN: 'a-given-secret',
      LISTED: 'a-listed-value',
      ALLOWED_DIR: '/srv/documents',
      NODE_NO_WARNINGS: '1',
    };
    await setup.connect(setup.server({ env, publicEnv: ['LISTED'] }));
    const { text } = await setup.call('mcp__small__environment');
    delete process.env['NOVA_CANARY'];
    const json = JSON.parse(/\{.*\}/s.exec(text)?.[0] ?? '{}') as Record<string, string>;
    expect(Object.keys(json).sort()).toEqual([...Object.keys(env), 'HOME', 'LANG', 'PATH'].sort());
    expect(json).toMatchObject({ ...env, GIVEN: '[redacted]' });
  });
});

describe('what a server leaves behind', () => {
  it.each([
    ['well-behaved', {}],
    ['stubborn', { ignoreEnd: true, ignoreTerm: true }],
    ['with a child', { child: true }],
    ['with a child in a session of its own', { child: 'detached', ignoreEnd: true }],
  ])('is nothing: %s', async (_what, options) => {
    const word = mark();
    // A length of its own tells the grandchild from those of other tests.
    const sleep = `1000.${randomInt(1e9)}`;
    const connection = await setup.connect(setup.server({}, { ...options, mark: word, sleep }));
    expect(running(word)).toBeGreaterThan(0);
    if ('child' in options) await eventually('the child runs', () => running(`sleep ${sleep}`) > 0);
    await connection.stop();
    await eventually('the program has ended', () => running(word) === 0);
    await eventually('its child has ended', () => running(`sleep ${sleep}`) === 0);
  });
});

describe('lists of tools', () => {
  const tool = (name: string, description = 'x'): object => ({ name, description, inputSchema: { type: 'object' } });

  it('are read page by page', async () => {
    const tools = Array.from({ length: 25 }, (_, i) => tool(`t${i}`));
    const connection = await setup.connect(setup.server({}, { tools, pages: 10 }));
    expect(connection.state()).toMatchObject({ toolCount: 25, status: 'connected' });
    expect(connection.state().activeTools).toHaveLength(25);
  });

  it('may change: new tools come, changed ones are quarantined until a reload', async () => {
    const server = setup.server(
      {},
      {
        tools: [tool('change'), tool('a', 'one thing')],
        changed: [tool('change'), tool('a', 'another thing'), tool('b')],
      },
    );
    const connection = await setup.connect(server);
    expect(connection.state().activeTools).toEqual(['mcp__small__change', 'mcp__small__a']);
    await setup.call('mcp__small__change');
    await eventually("connection.state().activeTools.includes('mcp__small__b')", () =>
      connection.state().activeTools.includes('mcp__small__b'),
    );
    expect(connection.state()).toMatchObject({
      toolCount: 3,
      activeTools: ['mcp__small__change', 'mcp__small__b'],
      lastError: expect.stringContaining('The tool a is not what it was'),
    });
    expect((await setup.call('mcp__small__a')).text).toContain('There is no tool');
    await connection.reload({ ...server, revision: 2 }, 30_000);
    expect(connection.state()).toMatchObject({ lastError: null, activeTools: ['mcp__small__change', 'mcp__small__a'] });
  });

  it.each([
    ['at once', {}],
    ['in pages', { pages: 100 }],
    ['in pages without end', { pages: 400, endlessPages: true }],
  ])('of ten thousand tools are cut, and it is said: %s', async (_what, options) => {
    const toolsFile = join(setup.folder.path, 'tools.json');
    writeFileSync(toolsFile, JSON.stringify(Array.from({ length: 10_000 }, (_, i) => tool(`t${i}`))));
    const connection = await setup.connect(setup.server({}, { toolsFile, ...options }));
    expect(connection.state()).toMatchObject({
      status: 'connected',
      toolCount: 512,
      lastError: 'Left out: all tools after the first 512.',
    });
    expect(connection.state().activeTools).toHaveLength(512);
    expect((await setup.call('mcp__small__t511')).text).toContain('this was t511');
    expect((await setup.call('mcp__small__t512')).text).toContain('There is no tool');
  });

  it('without an end and without tools end all the same', async () => {
    const connection = await setup.connect(setup.server({}, { tools: [tool('one')], pages: 1, endlessPages: true }));
    expect(connection.state()).toMatchObject({ status: 'connected', toolCount: 1, activeTools: ['mcp__small__one'] });
  });

  it('may hold names that are alike for longer than a model is shown, and descriptions of a megabyte', async () => {
    const toolsFile = join(setup.folder.path, 'tools.json');
    const alike = [`${'x'.repeat(120)}1`, `${'x'.repeat(120)}2`];
    const hidden = `read\u200b\u202e me ${'y'.repeat(1_000_000)}`;
    writeFileSync(toolsFile, JSON.stringify(alike.map((name) => tool(name, hidden))));
    await setup.connect(setup.server({}, { toolsFile }));
    const offered = setup.registry.offered(null, 'workspace');
    expect(new Set(offered.map(({ name }) => name)).size).toBe(2);
    for (const [index, { name, description }] of offered.entries()) {
      expect(name).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
      expect(description).toMatch(/^read me y+…$/);
      expect(Buffer.byteLength(description)).toBeLessThanOrEqual(2_048);
      expect((await setup.call(name)).text).toContain(`this was ${alike[index]}`);
    }
  });

  it('may hold schemas that would take for ever or that are none: the server decides', async () => {
    const inputSchema = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } };
    const loop = { type: 'object', $defs: { a: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' };
    const tools = [{ ...tool('slow'), inputSchema }, { ...tool('loop'), inputSchema: loop }, tool('good')];
    const connection = await setup.connect(setup.server({}, { tools }));
    expect(connection.state()).toMatchObject({ status: 'connected', toolCount: 3 });
    expect((await setup.call('mcp__small__loop')).text).toContain('this was loop');
    expect((await setup.call('mcp__small__good', { a: null })).text).toContain('this was good');
  });

  it('leave out what cannot be offered', async () => {
    const tools = [
      tool('good'),
      tool('good', 'twice'),
      { name: 'bad' },
      { ...tool('ref'), inputSchema: { type: 'object', $ref: 'http://x/' } },
    ];
    const connection = await setup.connect(setup.server({}, { tools }));
    expect(connection.state()).toMatchObject({ toolCount: 4, activeTools: ['mcp__small__good'] });
    expect(connection.state().lastError).toMatch(/refers to another document/);
  });
});

describe('eras', () => {
  it.each(['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])('speaks %s', async (era) => {
    const connection = await setup.connect(setup.server({}, { era }));
    expect(connection.state().status).toBe('connected');
    expect(setup.eras).toEqual([expect.objectContaining({ kind: 'legacy' })]);
  });

  it('speaks to a server that ends when it is asked before its handshake', async () => {
    const connection = await setup.connect(setup.server({}, { exitOnProbe: true }));
    expect(connection.state().status).toBe('connected');
    expect(setup.eras).toEqual([expect.objectContaining({ kind: 'legacy' })]);
  });

  it('keeps no verdict that only silence gave', async () => {
    const connection = await setup.connect(setup.server({}, { mute: true }));
    expect(connection.state().status).toBe('connected');
    expect(setup.eras).toEqual([null]);
  });
});

describe('a reload', () => {
  it('keeps the old connection until the new one is ready, and when there is none', async () => {
    const server = setup.server();
    const connection = await setup.connect(server);
    const call = setup.call('mcp__small__slow', { ms: 50 });
    expect((await call).text).toContain('at last');
    await connection.reload({ ...server, revision: 2, args: ['-e', 'process.exit(1)'] }, 10_000);
    expect(connection.state()).toMatchObject({
      status: 'connected',
      lastError: expect.stringContaining('reload failed'),
    });
    expect((await setup.call('mcp__small__echo', { text: 'old' })).text).toContain('you said: old');
  });
});

describe('a reload of a server that takes its time', () => {
  it('leaves calls to the old connection until the new one is ready', async () => {
    const word = mark();
    const holdWhile = join(setup.folder.path, 'hold');
    const server = setup.server({}, { mark: word, holdWhile });
    const connection = await setup.connect(server);
    const { connectedAt } = connection.state();
    const before = running(word);
    writeFileSync(holdWhile, '');
    const reload = connection.reload({ ...server, revision: 2 }, 30_000);
    await eventually('another program runs', () => running(word) > before);
    expect((await setup.call('mcp__small__echo', { text: 'old' })).text).toContain('you said: old');
    expect(connection.state()).toMatchObject({ status: 'connected', connectedAt });
    rmSync(holdWhile);
    await reload;
    expect(connection.state()).toMatchObject({ status: 'connected', lastError: null });
    expect(connection.state().connectedAt).not.toEqual(connectedAt);
    expect((await setup.call('mcp__small__echo', { text: 'new' })).text).toContain('you said: new');
    await eventually('the other program has ended', () => running(word) === before);
  });
});

describe('a sandbox', () => {
  it.each(['workspace', 'workspace_network'] as const)(
    'that cannot be had is not done without: %s',
    async (sandbox) => {
      const connection = await setup.connect(setup.server({ sandbox }));
      expect(connection.state()).toMatchObject({ status: 'failed', lastError: 'The sandbox cannot be enforced here' });
    },
  );
});
