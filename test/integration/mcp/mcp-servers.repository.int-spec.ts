import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { McpServerSettings } from '../../../src/modules/mcp/mcp-server.js';
import { McpServersRepository } from '../../../src/modules/mcp/mcp-servers.repository.js';
import { AppConfig } from '../../../src/config/index.js';
import { sql } from '../../../src/platform/database/index.js';
import { Scrubber } from '../../../src/platform/logging/index.js';
import { SecretBox, UnreadableSecret } from '../../../src/platform/secrets/index.js';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';

let db: TestDatabase;
let servers: McpServersRepository;
beforeAll(async () => {
  db = await createTestDatabase();
  servers = withKeys(OLD);
});
afterAll(() => db.drop());

/** The repository of a process that has these keys, the first of which seals. */
function withKeys(...keys: string[]): McpServersRepository {
  const config = AppConfig.from({ DATABASE_URL: 'postgres://db/nova', SECRETS_KEY: keys.join() });
  return new McpServersRepository(db.database, new SecretBox(config, new Scrubber()));
}
const [OLD, NEW] = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64')) as [string, string];
const stored = (id: string): Promise<{ text: string; updated_at: Date }> =>
  db.database.one('test.stored', sql`select m::text as text, updated_at from mcp_servers m where id = ${id}`);

let names = 0;
const settings = (fields: Partial<McpServerSettings> = {}): McpServerSettings => ({
  name: `server-${(names += 1)}`,
  description: 'd',
  transport: 'stdio',
  command: 'c',
  args: ['a', ''],
  env: { A: 'x' },
  publicEnv: ['A'],
  url: null,
  headers: {},
  enabled: true,
  sandbox: 'none',
  metadata: { m: [1] },
  ...fields,
});
const hash = (digit: string): string => digit.repeat(64);

it('keeps what it was given', async () => {
  const given = settings();
  const made = await servers.insert(randomUUID(), given);
  expect(made).toMatchObject({ ...given, revision: 1, era: null });
  expect(await servers.find(made.id)).toEqual(made);
  expect(await servers.enabled()).toContainEqual({ id: made.id, revision: 1 });
  expect((await servers.list(10, 0, made.name)).map((one) => one.id)).not.toContain(made.id);
  expect(await servers.count()).toBe((await servers.list(200, 0, null)).length);
  await expect(servers.insert(randomUUID(), given)).rejects.toMatchObject({ code: 'name_taken' });
  await servers.update(made.id, { ...given, enabled: false }, false);
  expect((await servers.enabled()).map(({ id }) => id)).not.toContain(made.id);
  expect(await servers.delete(made.id)).toBe(true);
  expect(await servers.delete(made.id)).toBe(false);
  expect(await servers.find(made.id)).toBeNull();
});

it('moves the revision and forgets the era only when connections are made anew', async () => {
  const made = await servers.insert(randomUUID(), settings());
  const era = { kind: 'legacy' as const, at: new Date().toISOString() };
  await servers.keepEra(made.id, 1, era);
  const renamed = await servers.update(made.id, settings({ description: 'other' }), false);
  expect(renamed).toMatchObject({ revision: 1, era, description: 'other' });
  expect(renamed.updatedAt.getTime()).toBeGreaterThan(made.updatedAt.getTime());
  expect(await servers.update(made.id, settings(), true)).toMatchObject({ revision: 2, era: null });
  await servers.keepEra(made.id, 1, era);
  expect(await servers.find(made.id)).toMatchObject({ era: null });
  expect(await db.database.transaction('test', () => servers.lockForEdit(made.id))).toMatchObject({ revision: 2 });
});

it('pins what is seen first, until it is forgotten', async () => {
  const made = await servers.insert(randomUUID(), settings());
  expect(await servers.pin(made.id, 1, new Map([['a', hash('1')]]))).toEqual(new Map([['a', hash('1')]]));
  const later = new Map([
    ['a', hash('2')],
    ['b', hash('3')],
  ]);
  expect(await servers.pin(made.id, 1, later)).toEqual(
    new Map([
      ['a', hash('1')],
      ['b', hash('3')],
    ]),
  );
  expect(await servers.renew(made.id)).toMatchObject({ revision: 2 });
  expect((await servers.pin(made.id, 2, later)).get('a')).toBe(hash('1'));
  await servers.forgetPins(made.id);
  // A process that has not heard of it yet cannot bring the old definitions back.
  expect(await servers.pin(made.id, 1, new Map([['a', hash('1')]]))).toEqual(new Map());
  expect(await servers.pin(made.id, 2, later)).toEqual(later);
  expect(await servers.renew(randomUUID())).toBeNull();
});

it('keeps the definition of what it pins, also where it was pinned without', async () => {
  const made = await servers.insert(randomUUID(), settings());
  const said = (text: string): Map<string, Record<string, unknown>> => new Map([['a', { description: text }]]);
  await servers.pin(made.id, 1, new Map([['a', hash('1')]]));
  expect(await servers.pins(made.id)).toEqual(new Map([['a', { hash: hash('1'), definition: null }]]));
  await servers.pin(made.id, 1, new Map([['a', hash('2')]]), said('another'));
  expect((await servers.pins(made.id)).get('a')?.definition).toBeNull();
  await servers.pin(made.id, 1, new Map([['a', hash('1')]]), said('the one'));
  await servers.pin(made.id, 1, new Map([['a', hash('1')]]), said('the one, told otherwise'));
  expect((await servers.pins(made.id)).get('a')).toEqual({ hash: hash('1'), definition: { description: 'the one' } });
});

it('accepts a definition in the place of the pinned one, unless the server was changed meanwhile', async () => {
  const made = await servers.insert(randomUUID(), settings());
  await servers.pin(made.id, 1, new Map([['a', hash('1')]]));
  const accepted = new Map([['a', { hash: hash('2'), definition: { name: 'a' } }]]);
  expect(await servers.accept(made.id, 7, accepted)).toBeNull();
  expect((await servers.pins(made.id)).get('a')?.hash).toBe(hash('1'));
  expect(await servers.accept(made.id, 1, accepted)).toMatchObject({ revision: 2 });
  expect(await servers.pins(made.id)).toEqual(accepted);
});

it('lets one of many processes pin first', async () => {
  const made = await servers.insert(randomUUID(), settings());
  const seen = await Promise.all(
    Array.from({ length: 8 }, (_, i) => servers.pin(made.id, 1, new Map([['a', hash(String(i))]]))),
  );
  expect(new Set(seen.map((pins) => pins.get('a'))).size).toBe(1);
});

it('does not pin names without end', async () => {
  const made = await servers.insert(randomUUID(), settings());
  const many = (from: number): Map<string, string> =>
    new Map(Array.from({ length: 1_000 }, (_, i) => [`t${from + i}`, hash('1')]));
  await servers.pin(made.id, 1, many(0));
  await servers.pin(made.id, 1, many(1_000));
  expect((await servers.pin(made.id, 1, many(2_000))).size).toBe(2_000);
});

describe('secrets', () => {
  const secrets = { env: { TOKEN: 'canary-of-the-env' }, headers: { Authorization: 'canary-of-a-header' } };

  it('are not in the table', async () => {
    const made = await servers.insert(randomUUID(), settings(secrets));
    expect(made).toMatchObject(secrets);
    expect((await stored(made.id)).text).not.toContain('canary');
    await servers.update(made.id, { ...made, env: { TOKEN: 'another-canary' } }, true);
    expect((await stored(made.id)).text).not.toContain('canary');
    expect(await servers.find(made.id)).toMatchObject({ ...secrets, env: { TOKEN: 'another-canary' } });
  });

  it('are not read at another place of the table', async () => {
    const [one, two] = [
      await servers.insert(randomUUID(), settings(secrets)),
      await servers.insert(randomUUID(), settings()),
    ];
    await db.database.query(
      'test.move',
      sql`update mcp_servers set env = (select env from mcp_servers where id = ${one.id}) where id = ${two.id}`,
    );
    expect((await servers.find(two.id))?.env['TOKEN']).toBeInstanceOf(UnreadableSecret);
    expect(await servers.find(one.id)).toMatchObject(secrets);
  });

  it('stay as they are stored where their key is missing', async () => {
    const made = await servers.insert(randomUUID(), settings(secrets));
    const other = withKeys(NEW);
    const seen = await other.find(made.id);
    expect(seen?.env['TOKEN']).toBeInstanceOf(UnreadableSecret);
    await other.update(made.id, { ...made, ...seen, description: 'changed' }, false);
    await other.sealAll();
    expect(await servers.find(made.id)).toMatchObject({ ...secrets, description: 'changed' });
  });

  it('of before there was a key, and those of an older key, are sealed with the first one', async () => {
    const old = await servers.insert(randomUUID(), settings(secrets));
    const plain = await withKeys().insert(randomUUID(), settings(secrets));
    expect((await stored(plain.id)).text).toContain('canary');
    const before = await Promise.all([stored(old.id), stored(plain.id)]);
    await withKeys(NEW, OLD).sealAll();
    for (const [index, { id }] of [old, plain].entries()) {
      const after = await stored(id);
      expect(after.text).not.toContain('canary');
      expect(after.updated_at).toEqual(before[index]?.updated_at);
      expect(await withKeys(NEW).find(id)).toMatchObject({ ...secrets, revision: 1 });
    }
    const [{ text }] = [await stored(old.id)];
    await withKeys(NEW, OLD).sealAll();
    expect((await stored(old.id)).text).toBe(text);
  });
});
