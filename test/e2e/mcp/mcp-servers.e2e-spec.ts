import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sql } from '../../../src/platform/database/index.js';
import { api, type Answer, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

const SMALL = join(fileURLToPath(import.meta.url), '../../../integration/mcp/servers/stdio-server.mjs');
/** What it lists when nothing else is asked of it. */
const TOOLS = 17;
const UNKNOWN = '00000000-0000-4000-8000-000000000000';
const MASK = '********';

let service: Service;
let client: Api;
let key: string;
let names = 0;

beforeAll(async () => {
  service = await startService({ REQUIRE_AUTH: 'true' });
  client = await api(service);
  key = (await service.createKey()).raw_key;
});
afterAll(() => service.stop());

const admin = (method: string, path = '', json?: unknown): Promise<Answer> =>
  client.call(method, `/api/v1/mcp-servers${path}`, { as: 'admin', json });
const asKey = (path = ''): Promise<Answer> => client.call('GET', `/api/v1/mcp-servers${path}`, { as: key });
const newName = (): string => `server-${(names += 1)}`;

function small(options: object = {}, fields: object = {}): Record<string, unknown> {
  return { name: newName(), transport: 'stdio', command: 'node', args: [SMALL, JSON.stringify(options)], ...fields };
}

async function made(body: object): Promise<Answer['body']> {
  const answer = await admin('POST', '', body);
  expect(answer.status).toBe(201);
  return answer.body;
}

function faultsOf(answer: Answer): string[] {
  expect(answer.status).toBe(422);
  return [...new Set((answer.body.errors as { pointer: string }[]).map((fault) => fault.pointer))].sort();
}

async function toolsOf(category: string): Promise<string[] | null> {
  const { body } = await client.call('GET', '/api/v1/tools', { as: key });
  const found = (body as unknown as { category: string; source: string; tools: { name: string }[] }[]).find(
    (one) => one.category === category,
  );
  return found?.tools.map((tool) => tool.name) ?? null;
}

describe('adding a server', () => {
  /** A server that never answers: the other tests pass while its adding waits for it. */
  let silent: Promise<Answer['body']>;
  beforeAll(() => {
    silent = made(small({ silent: true }));
    silent.catch(() => undefined);
  });

  it('connects it, shows its tools and masks its secrets', async () => {
    const body = small({}, { env: { TOKEN: 'very-secret-token' }, description: 'A small one' });
    const server = await made(body);
    expect(server).toMatchObject({
      name: body['name'],
      description: 'A small one',
      transport: 'stdio',
      command: 'node',
      env: { TOKEN: MASK },
      public_env: [],
      headers: {},
      url: null,
      enabled: true,
      sandbox: 'none',
      metadata: {},
      status: 'connected',
      connected: true,
      last_error: null,
      tool_count: TOOLS,
    });
    expect(server.active_tools).toContain(`mcp__${String(body['name'])}__echo`);
    expect(await toolsOf(`mcp:${String(body['name'])}`)).toEqual(server.active_tools);
    expect(service.output()).not.toContain('very-secret-token');
  });

  it.each([
    ['a program that does not exist', { command: '/no/such/program', args: [] }, /No such file|no such program/],
    ['a program that ends', { command: 'sh', args: ['-c', 'echo broken >&2; exit 3'] }, /exit code 3: broken/],
  ])('reports %s as a status', async (_what, fields, reason) => {
    const server = await made(small({}, fields));
    expect(server).toMatchObject({ status: 'failed', connected: false, tool_count: 0, active_tools: [] });
    expect(server.last_error).toMatch(reason);
  });

  it('shows and logs no secret that a program or a server says of itself', async () => {
    const secret = 'a-secret-that-is-said';
    const program = await made(
      small({}, { command: 'sh', args: ['-c', 'echo "my token is $TOKEN" >&2; exit 3'], env: { TOKEN: secret } }),
    );
    expect(program.last_error).toMatch(/exit code 3: my token is \[redacted\]/);
    const url = 'http://192.0.2.1/mcp';
    const web = small(
      {},
      { transport: 'http', command: null, args: [], url, headers: { Authorization: `Bearer ${secret}` } },
    );
    expect(JSON.stringify(await made(web))).not.toContain(secret);
    expect(JSON.stringify(await made({ ...web, name: newName(), url: `${url}?api_key=${secret}` }))).not.toContain(
      secret,
    );
    const words = ['-c', 'echo "$0 $1 $2" >&2; exit 3', 'said:', '--token', secret];
    const arguing = await made(small({}, { command: 'sh', args: words }));
    expect(arguing.last_error).toMatch(/exit code 3: said: --token \[redacted\]/);
    expect(arguing['args']).toEqual([...words.slice(0, -1), MASK]);
    expect(JSON.stringify((await admin('GET', '?limit=200')).body)).not.toContain(secret);
    const fault = await admin('POST', '', { ...web, name: newName(), headers: { 'X-A': `${secret}\n` } });
    expect(JSON.stringify(fault.body)).not.toContain(secret);
    expect(service.output()).not.toContain(secret);
  });

  it('keeps a disabled one unconnected', async () => {
    expect(await made(small({}, { enabled: false }))).toMatchObject({ status: 'disabled', connected: false });
  });

  it('refuses a taken name', async () => {
    const body = small({}, { enabled: false });
    await made(body);
    expect(await admin('POST', '', body)).toMatchObject({ status: 409, body: { code: 'name_taken' } });
  });

  it.each([
    [{ name: 'Big' }, ['#/name']],
    [{ name: 'two__lines' }, ['#/name']],
    [{ name: 'line_' }, ['#/name']],
    [{ name: 'x'.repeat(32) }, ['#/name']],
    [{ transport: 'websocket' }, ['#/transport']],
    [{ command: null }, ['#/command']],
    [{ url: 'http://example.com' }, ['#/url']],
    [{ headers: { a: 'b' } }, ['#/headers']],
    [{ env: { '1BAD': 'x' } }, ['#/env']],
    [{ env: { A: 1 } }, ['#/env']],
    [{ env: [] }, ['#/env']],
    [{ env: { A: MASK } }, ['#/env/A']],
    [{ public_env: ['1BAD'] }, ['#/public_env']],
    [{ public_env: 'A' }, ['#/public_env']],
    [{ args: [1] }, ['#/args']],
    [{ args: 'x' }, ['#/args']],
    [{ sandbox: 'host' }, ['#/sandbox']],
    [{ nonsense: 1 }, ['#/nonsense']],
    [{ metadata: { a: 'x'.repeat(17_000) } }, ['#/metadata']],
    [{ transport: 'http', command: null, args: [] }, ['#/url']],
    [{ transport: 'http', command: null, args: [], url: 'ftp://example.com' }, ['#/url']],
    [{ transport: 'http', command: null, args: [], url: 'http://u:p@example.com' }, ['#/url']],
    [{ transport: 'http', command: null, args: [], url: 'not a url' }, ['#/url']],
    [{ transport: 'http', command: null, args: [], url: 'http://example.com', headers: { Host: 'x' } }, ['#/headers']],
    [
      { transport: 'http', command: null, args: [], url: 'http://example.com', headers: { 'X-A': 'a\r\nb' } },
      ['#/headers'],
    ],
  ])('refuses %p', async (fields, pointers) => {
    expect(faultsOf(await admin('POST', '', small({}, fields)))).toEqual(pointers);
  });

  it('is answered for one that never answers', async () => {
    expect(await silent).toMatchObject({ connected: false, tool_count: 0 });
  });
});

describe('who sees what', () => {
  it('shows a key neither commands nor secrets, and the admin no secrets', async () => {
    const server = await made(small({}, { env: { TOKEN: 'very-secret-token' } }));
    const list = (await asKey('?limit=200')).body as unknown as Record<string, unknown>[];
    const seen = list.find((one) => one['id'] === server.id);
    expect(Object.keys(seen ?? {}).sort()).toEqual([
      'active_tools',
      'connected',
      'description',
      'id',
      'name',
      'status',
      'tool_count',
    ]);
    const all = (await admin('GET', '?limit=200')).body as unknown as Record<string, unknown>[];
    expect(all.find((one) => one['id'] === server.id)).toMatchObject({ command: 'node', env: { TOKEN: MASK } });
    expect(JSON.stringify(all)).not.toContain('very-secret-token');
  });

  it('lists by name, in pages', async () => {
    await made(small({}, { enabled: false }));
    await made(small({}, { enabled: false }));
    const all = (await asKey('?limit=200')).body as unknown as { name: string }[];
    const seen: string[] = [];
    let path: string | undefined = '/api/v1/mcp-servers?limit=2';
    while (path !== undefined) {
      const answer: Answer = await client.call('GET', path, { as: key });
      seen.push(...(answer.body as unknown as { name: string }[]).map((one) => one.name));
      path = /<([^>]+)>/.exec(answer.headers.get('link') ?? '')?.[1];
    }
    expect(seen).toEqual(all.map((one) => one.name));
    expect(seen).toEqual([...seen].sort());
    expect((await asKey('?cursor=!!')).status).toBe(422);
  });

  it('lets only the admin edit', async () => {
    for (const [method, path] of [
      ['POST', ''],
      ['PATCH', `/${UNKNOWN}`],
      ['DELETE', `/${UNKNOWN}`],
      ['POST', `/${UNKNOWN}/reload`],
    ] as const) {
      const answer = await client.call(method, `/api/v1/mcp-servers${path}`, { as: key, json: {} });
      expect(answer.status).toBe(403);
    }
  });
});

describe('changing a server', () => {
  it('keeps the value behind a mask, and takes a new one', async () => {
    const options = {};
    const server = await made(small(options, { env: { A: 'first-secret', B: 'second-secret' } }));
    const sent = await admin('PATCH', `/${server.id}`, { ...server, description: 'the same' });
    expect(sent).toMatchObject({ status: 200, body: { description: 'the same', status: 'connected' } });
    expect(sent.body.connected_at).toBe(server.connected_at);
    const changed = await admin('PATCH', `/${server.id}`, { env: { A: MASK, B: 'other-secret' } });
    expect(changed).toMatchObject({ status: 200, body: { status: 'connected', env: { A: MASK, B: MASK } } });
    expect(changed.body.connected_at).not.toBe(server.connected_at);
    const kept = await service.database?.database.query(
      'test',
      sql`select env from mcp_servers where id = ${server.id}`,
    );
    expect(kept).toEqual([{ env: { A: 'first-secret', B: 'other-secret' } }]);
    expect(faultsOf(await admin('PATCH', `/${server.id}`, { env: { C: MASK } }))).toEqual(['#/env/C']);
  });

  it('keeps the arguments and the url that are sent back as they were read', async () => {
    const args = [SMALL, '{}', '--token', 'secret-of-an-argument', 'postgres://u:pass-word@h/db'];
    const server = await made(small({}, { args }));
    expect(server['args']).toEqual([SMALL, '{}', '--token', MASK, `postgres://${MASK}@h/db`]);
    const sent = await admin('PATCH', `/${server.id}`, { args: server['args'] });
    expect(sent).toMatchObject({ status: 200, body: { status: 'connected', connected_at: server.connected_at } });
    const stored = sql`select args from mcp_servers where id = ${server.id}`;
    expect(await service.database?.database.query('test', stored)).toEqual([{ args }]);
    expect(faultsOf(await admin('PATCH', `/${server.id}`, { args: [`--key=${MASK}`] }))).toEqual(['#/args/0']);
    expect(faultsOf(await admin('POST', '', small({}, { args: ['--key', MASK] })))).toEqual(['#/args/1']);
  });

  it('takes its tools and process away while it is disabled, and brings them back', async () => {
    const server = await made(small());
    const group = `mcp:${server.name}`;
    expect((await admin('PATCH', `/${server.id}`, { enabled: false })).body).toMatchObject({ status: 'disabled' });
    expect(await toolsOf(group)).toBeNull();
    expect((await admin('PATCH', `/${server.id}`, { enabled: true })).body).toMatchObject({ status: 'connected' });
    expect(await toolsOf(group)).toHaveLength(TOOLS);
  });

  it('renames the tools with the server', async () => {
    const server = await made(small());
    const name = newName();
    expect((await admin('PATCH', `/${server.id}`, { name })).body.active_tools).toContain(`mcp__${name}__echo`);
    expect(await toolsOf(`mcp:${server.name}`)).toBeNull();
  });

  it('refuses what does not go together, a taken name, an unknown one and a null name', async () => {
    const [one, other] = [await made(small({}, { enabled: false })), await made(small({}, { enabled: false }))];
    expect(faultsOf(await admin('PATCH', `/${one.id}`, { transport: 'http' }))).toEqual([
      '#/args',
      '#/command',
      '#/url',
    ]);
    expect(faultsOf(await admin('PATCH', `/${one.id}`, { name: null }))).toEqual(['#/name']);
    expect((await admin('PATCH', `/${one.id}`, { name: other.name })).status).toBe(409);
    expect((await admin('PATCH', `/${UNKNOWN}`, { description: '' })).status).toBe(404);
    expect((await admin('PATCH', '/nonsense', {})).status).toBe(422);
  });
});

describe('tools that change', () => {
  const tool = (name: string, description: string): object => ({ name, description, inputSchema: { type: 'object' } });
  const hashes = (
    answer: Answer,
  ): Record<string, { state: string; pinned: { hash: string }; present: { hash: string } }> =>
    Object.fromEntries((answer.body as unknown as { name: string }[]).map((one) => [one.name, one])) as never;

  it('are looked at and accepted by what they are, and by nothing else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nova-mcp-tools-'));
    const toolsFile = join(folder, 'tools.json');
    const offer = (...tools: object[]): void => writeFileSync(toolsFile, JSON.stringify(tools));
    offer(tool('a', 'first'), tool('b', 'other'));
    const server = await made(small({ toolsFile }));
    const path = `/${server.id}/tools`;
    expect((await admin('GET', path)).body).toMatchObject([
      { name: 'a', state: 'active', pinned: { definition: { description: 'first' } }, present: {} },
      { name: 'b', state: 'active' },
    ]);

    offer(tool('a', 'second'), tool('b', 'other'));
    const reloaded = await admin('POST', `/${server.id}/reload`);
    expect(reloaded.body).toMatchObject({ tools: [`mcp__${server.name}__b`] });
    const looked = await admin('GET', path);
    expect(looked.body).toMatchObject([
      {
        state: 'changed',
        pinned: { definition: { description: 'first' } },
        present: { definition: { description: 'second' } },
      },
      { state: 'active' },
    ]);
    const { a } = hashes(looked);

    offer(tool('a', 'third'), tool('b', 'other'));
    const accept = { a: a?.present.hash };
    expect(await admin('POST', `/${server.id}/reload`, { accept })).toMatchObject({
      status: 409,
      body: { code: 'definition_moved' },
    });
    expect(hashes(await admin('GET', path))['a']).toMatchObject({ state: 'changed', pinned: { hash: a?.pinned.hash } });

    const now = hashes(await admin('GET', path))['a']?.present.hash;
    expect((await admin('POST', `/${server.id}/reload`, { accept: { a: now, gone: now } })).status).toBe(409);
    const accepted = await admin('POST', `/${server.id}/reload`, { accept: { a: now } });
    expect(accepted).toMatchObject({
      status: 200,
      body: { tools: [`mcp__${server.name}__a`, `mcp__${server.name}__b`] },
    });
    expect(hashes(await admin('GET', path))['a']).toMatchObject({ state: 'active', pinned: { hash: now } });

    offer(tool('a', 'fourth'));
    const moved = await admin('PATCH', `/${server.id}`, { args: [SMALL, JSON.stringify({ toolsFile }), 'x'] });
    expect(moved.body).toMatchObject({ status: 'connected', pinned_tools: [{ name: 'a' }] });
    expect((await admin('PATCH', `/${server.id}`, { description: 'x' })).body).toMatchObject({ pinned_tools: null });
    rmSync(folder, { recursive: true });
  });

  it('stay held back whatever the server or its entry does meanwhile but change its connection', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nova-mcp-tools-'));
    const toolsFile = join(folder, 'tools.json');
    const offer = (...tools: object[]): void => writeFileSync(toolsFile, JSON.stringify(tools));
    offer(tool('a', 'first'), tool('b', 'other'));
    const server = await made(small({ toolsFile }));
    const pinned = hashes(await admin('GET', `/${server.id}/tools`))['a']?.pinned.hash;
    const held = async (): Promise<void> => {
      const { a, b } = hashes(await admin('GET', `/${server.id}/tools`));
      expect([a, b]).toMatchObject([{ state: 'changed', pinned: { hash: pinned } }, { state: 'active' }]);
    };
    offer(tool('b', 'other'));
    await admin('POST', `/${server.id}/reload`);
    expect(hashes(await admin('GET', `/${server.id}/tools`))['a']).toMatchObject({ state: 'absent', present: null });
    offer(tool('a', 'swapped'), tool('b', 'other'));
    await admin('POST', `/${server.id}/reload`, {});
    await held();
    await admin('POST', `/${server.id}/reload`, { accept: {} });
    await held();
    await admin('PATCH', `/${server.id}`, { enabled: false });
    expect(await admin('PATCH', `/${server.id}`, { enabled: true })).toMatchObject({ body: { pinned_tools: null } });
    await held();
    const b = hashes(await admin('GET', `/${server.id}/tools`))['b']?.present.hash;
    expect((await admin('POST', `/${server.id}/reload`, { accept: { b } })).status).toBe(200);
    await held();
    // As it was, it needs nobody.
    offer(tool('a', 'first'), tool('b', 'other'));
    await admin('POST', `/${server.id}/reload`);
    expect(hashes(await admin('GET', `/${server.id}/tools`))['a']).toMatchObject({ state: 'active' });
    rmSync(folder, { recursive: true });
  });

  it('are shown to the admin alone', async () => {
    expect((await client.call('GET', `/api/v1/mcp-servers/${UNKNOWN}/tools`, { as: key })).status).toBe(403);
    expect((await admin('GET', `/${UNKNOWN}/tools`)).status).toBe(404);
    expect((await admin('POST', `/${UNKNOWN}/reload`, { accept: { a: '0'.repeat(64) } })).status).toBe(404);
    expect(faultsOf(await admin('POST', `/${UNKNOWN}/reload`, { accept: { a: 'x' } }))).toEqual(['#/accept']);
  });
});

describe('deleting and reloading', () => {
  it('removes the server with its tools', async () => {
    const server = await made(small());
    expect((await admin('DELETE', `/${server.id}`)).status).toBe(204);
    expect(await toolsOf(`mcp:${server.name}`)).toBeNull();
    expect((await admin('DELETE', `/${server.id}`)).status).toBe(404);
  });

  it('reloads', async () => {
    const server = await made(small());
    const answer = await admin('POST', `/${server.id}/reload`);
    expect(answer).toMatchObject({ status: 200, body: { name: server.name, connected: true, tool_count: TOOLS } });
    expect(answer.body.tools).toEqual(server.active_tools);
    expect((await admin('POST', `/${UNKNOWN}/reload`)).status).toBe(404);
  });
});
