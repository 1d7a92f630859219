/** @needs redis-server */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { descendants, type Descendant } from '../../support/descendants.js';
import { startRedis, temporaryFolder, type TemporaryFolder, type TestRedis } from '../../support/servers/index.js';
import { startService, type Service } from '../../support/service.js';
import { eventually } from '../../support/eventually.js';

const SMALL = join(fileURLToPath(import.meta.url), '../../../integration/mcp/servers/stdio-server.mjs');
const SERVERS = '/api/v1/mcp-servers';

interface Server {
  id: string;
  name: string;
  enabled: boolean;
  status: string;
  last_error: string | null;
  active_tools: string[];
}

let folder: TemporaryFolder;
let database: TestDatabase;
let redis: TestRedis;
let one: Service;
let two: Service;
let mark: string;
let toolsFile: string;
let names = 0;
beforeAll(async () => {
  folder = temporaryFolder();
  toolsFile = join(folder.path, 'tools.json');
  database = await createTestDatabase();
  redis = await startRedis();
  const settings = { DATABASE_URL: database.url, REDIS_URL: redis.url, ADMIN_SECRET: 'one-secret-for-all-replicas' };
  [one, two] = await Promise.all([startService(settings), startService(settings)]);
});
afterAll(async () => {
  await Promise.all([one.stop(), two.stop()]);
  await redis.stop();
  await database.drop();
  folder.remove();
});
beforeEach(() => {
  mark = `mark-${Math.random().toString(36).slice(2)}`;
  offer('the first description');
});

/** What every server of this file lists from now on. */
function offer(description: string): void {
  writeFileSync(toolsFile, JSON.stringify([{ name: 'tool', description, inputSchema: { type: 'object' } }]));
}

function small(options: object = {}): object {
  const args = [SMALL, JSON.stringify({ mark, toolsFile, child: 'detached', ...options })];
  return { name: `server-${(names += 1)}`, transport: 'stdio', command: 'node', args };
}

async function edit(service: Service, method: string, path = '', json?: object): Promise<Server> {
  const answer = await service.admin(`${SERVERS}${path}`, { method, ...(json && { json }) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return (text === '' ? {} : JSON.parse(text)) as Server;
}

async function seenBy(service: Service, id: string): Promise<Server | undefined> {
  return ((await (await service.admin(`${SERVERS}?limit=200`)).json()) as Server[]).find((one) => one.id === id);
}

/** The programs of the server, without what only keeps them, and those that it started. */
function programs(service: Service): Descendant[] {
  return descendants(service.pid).filter(({ args }) =>
    args.startsWith('sleep ') ? args === 'sleep 1000' : args.startsWith('node ') && args.includes(mark),
  );
}

const isAt = (service: Service, id: string, fields: Partial<Server>): Promise<unknown> =>
  eventually(`${id} is ${JSON.stringify(fields)}`, async () => {
    const seen: Partial<Server> = (await seenBy(service, id)) ?? {};
    return Object.entries(fields).every(([name, value]) => seen[name as keyof Server] === value);
  });

describe.each([
  ['that hear of each other', false],
  ['without Redis', true],
])('two replicas %s', (_what, killed) => {
  beforeAll(() => (killed ? redis.kill() : undefined));

  it('follow a server that is made, changed, disabled, enabled and deleted through the other one', async () => {
    const { id, name } = await edit(one, 'POST', '', small());
    await isAt(two, id, { status: 'connected' });
    expect((await seenBy(two, id))?.active_tools).toEqual([`mcp__${name}__tool`]);
    await eventually('programs(two).length === 2', () => programs(two).length === 2);
    const [first] = programs(two);

    await edit(two, 'PATCH', `/${id}`, { name: `${name}-b`, env: { A: 'b' } });
    for (const service of [one, two]) {
      await eventually(
        '(seenBy(service, id))?.active_tools[0] === `mcp__${name}-b__tool`',
        async () => (await seenBy(service, id))?.active_tools[0] === `mcp__${name}-b__tool`,
      );
      await eventually('programs(service).length === 2', () => programs(service).length === 2);
    }
    expect(programs(two).map(({ pid }) => pid)).not.toContain(first?.pid);

    await edit(two, 'PATCH', `/${id}`, { enabled: false });
    for (const service of [one, two]) {
      await isAt(service, id, { status: 'disabled' });
      await eventually('programs(service).length === 0', () => programs(service).length === 0);
    }
    await edit(two, 'PATCH', `/${id}`, { enabled: true });
    await isAt(one, id, { status: 'connected' });
    await eventually('programs(one).length === 2', () => programs(one).length === 2);

    await edit(one, 'DELETE', `/${id}`);
    for (const service of [one, two]) {
      await eventually('(seenBy(service, id)) === undefined', async () => (await seenBy(service, id)) === undefined);
      await eventually('programs(service).length === 0', () => programs(service).length === 0);
    }
  });

  it('agree on what is quarantined, and on what a reload accepts', async () => {
    const { id, name } = await edit(one, 'POST', '', small());
    const active = `mcp__${name}__tool`;
    await isAt(two, id, { status: 'connected' });
    offer('another description');
    for (const service of [one, two]) {
      const [program] = programs(service);
      if (program !== undefined) process.kill(program.pid, 'SIGKILL');
    }
    for (const service of [one, two]) {
      await eventually("/is not what it was/.test((seenBy(service, id))?.last_error ?? '')", async () =>
        /is not what it was/.test((await seenBy(service, id))?.last_error ?? ''),
      );
      expect(await seenBy(service, id)).toMatchObject({ status: 'connected', active_tools: [] });
    }
    const listed = await two.admin(`${SERVERS}/${id}/tools`);
    const [tool] = (await listed.json()) as { present: { hash: string } }[];
    await edit(two, 'POST', `/${id}/reload`);
    expect(await seenBy(two, id)).toMatchObject({ status: 'connected', active_tools: [] });
    await edit(two, 'POST', `/${id}/reload`, { accept: { tool: tool?.present.hash } });
    for (const service of [one, two]) {
      await eventually(
        '(seenBy(service, id))?.active_tools[0] === active',
        async () => (await seenBy(service, id))?.active_tools[0] === active,
      );
      expect(await seenBy(service, id)).toMatchObject({ status: 'connected', last_error: null });
      await eventually('programs(service).length === 2', () => programs(service).length === 2);
    }
    await edit(one, 'DELETE', `/${id}`);
    for (const service of [one, two])
      await eventually('programs(service).length === 0', () => programs(service).length === 0);
  });

  it('end where the table ends, whatever was edited at once', async () => {
    const { id } = await edit(one, 'POST', '', small());
    const toggles = Array.from({ length: 24 }, (_, i) =>
      edit(i % 3 === 0 ? one : two, 'PATCH', `/${id}`, i % 4 === 3 ? { env: { A: `${i}` } } : { enabled: i % 2 === 0 }),
    );
    await Promise.all(toggles);
    await edit(one, 'PATCH', `/${id}`, { enabled: true });
    for (const service of [one, two]) {
      await isAt(service, id, { status: 'connected' });
      await eventually('programs(service).length === 2', () => programs(service).length === 2);
    }
    const more = [0, 1, 2, 3].map((i) => edit(two, 'PATCH', `/${id}`, { enabled: i % 2 === 0 }));
    await Promise.allSettled([...more, edit(one, 'DELETE', `/${id}`)]);
    for (const service of [one, two])
      await eventually('programs(service).length === 0', () => programs(service).length === 0);
  });
});

describe('two replicas', () => {
  beforeAll(() => redis.restart());

  it('connect a server that was disabled and enabled again while a reload of it hung', async () => {
    const silent = join(folder.path, 'silent');
    const { id } = await edit(one, 'POST', '', small({ silent, child: false, ignoreEnd: true, ignoreTerm: true }));
    writeFileSync(silent, '');
    const reload = edit(one, 'POST', `/${id}/reload`);
    await eventually('programs(one).length === 2', () => programs(one).length === 2);
    rmSync(silent);
    const disabled = edit(one, 'PATCH', `/${id}`, { enabled: false });
    await isAt(two, id, { enabled: false });
    const enabled = edit(one, 'PATCH', `/${id}`, { enabled: true });
    await Promise.all([reload, disabled, enabled]);
    for (const service of [one, two]) {
      await isAt(service, id, { status: 'connected' });
      await eventually('programs(service).length === 1', () => programs(service).length === 1);
    }
    await edit(two, 'DELETE', `/${id}`);
    for (const service of [one, two])
      await eventually('programs(service).length === 0', () => programs(service).length === 0);
  });

  it('begin at once, while the request that made the server still waits for its connection', async () => {
    let answered = false;
    const request = edit(one, 'POST', '', small({ silent: true })).then((server) => {
      answered = true;
      return server;
    });
    await eventually('programs(two).length > 0', () => programs(two).length > 0);
    expect(answered).toBe(false);
    await edit(one, 'DELETE', `/${(await request).id}`);
    for (const service of [one, two])
      await eventually('programs(service).length === 0', () => programs(service).length === 0);
  });
});
