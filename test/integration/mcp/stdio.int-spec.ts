import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually, Setup } from './connection-setup.js';

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
    // Standard streams keep the order: once this is answered, the call before it has arrived.
    await setup.call('mcp__small__echo', { text: 'a' });
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
    await eventually(() => connection.state().status === 'failed');
    expect((await setup.call('mcp__small__echo', { text: 'b' })).text).toMatch(
      /"small" is not connected: the connection was lost/,
    );
    await eventually(() => connection.state().status === 'connected');
    expect((await setup.call('mcp__small__echo', { text: 'c' })).text).toContain('you said: c');
  });

  it('bears megabytes, and fails the call whose answer is too large', async () => {
    const connection = await setup.connect(setup.server());
    expect((await setup.call('mcp__small__big', { bytes: 3_000_000 })).text).toContain('bytes cut');
    expect((await setup.call('mcp__small__big', { bytes: 9_000_000 })).text).toContain('larger than 4 MiB');
    expect((await setup.call('mcp__small__echo', { text: 'still here' })).text).toContain('still here');
    expect(connection.state().status).toBe('connected');
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
    await setup.connect(setup.server({ env: { GIVEN: 'a-given-secret', NODE_NO_WARNINGS: '1' } }));
    const { text } = await setup.call('mcp__small__environment');
    delete process.env['NOVA_CANARY'];
    const json = JSON.parse(/\{.*\}/s.exec(text)?.[0] ?? '{}') as Record<string, string>;
    expect(Object.keys(json).sort()).toEqual(['GIVEN', 'HOME', 'LANG', 'NODE_NO_WARNINGS', 'PATH']);
    expect(json['GIVEN']).toBe('[redacted]');
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
    const connection = await setup.connect(setup.server({}, { ...options, mark: word }));
    expect(running(word)).toBeGreaterThan(0);
    const sleepers = running('sleep 1000');
    await connection.stop();
    await eventually(() => running(word) === 0);
    if ('child' in options) await eventually(() => running('sleep 1000') < sleepers);
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
    await eventually(() => connection.state().activeTools.includes('mcp__small__b'));
    expect(connection.state()).toMatchObject({
      toolCount: 3,
      activeTools: ['mcp__small__change', 'mcp__small__b'],
      lastError: expect.stringContaining('The tool a is not what it was'),
    });
    expect((await setup.call('mcp__small__a')).text).toContain('There is no tool');
    await connection.reload({ ...server, revision: 2 }, 30_000);
    expect(connection.state()).toMatchObject({ lastError: null, activeTools: ['mcp__small__change', 'mcp__small__a'] });
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

describe('a sandbox', () => {
  it.each(['workspace', 'workspace_network'] as const)(
    'that cannot be had is not done without: %s',
    async (sandbox) => {
      const connection = await setup.connect(setup.server({ sandbox }));
      expect(connection.state()).toMatchObject({ status: 'failed', lastError: 'The sandbox cannot be enforced here' });
    },
  );
});
