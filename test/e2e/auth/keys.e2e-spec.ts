import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { hashApiKey, isWellFormedApiKey } from '../../../src/modules/auth/api-key.js';
import { sql } from '../../../src/platform/database/index.js';
import { eventually } from '../../support/eventually.js';
import { api, type Answer, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

let service: Service;
let client: Api;
beforeAll(async () => {
  service = await startService({ REQUIRE_AUTH: 'true' });
  client = await api(service);
});
afterAll(() => service.stop());

const create = (json: unknown): Promise<Answer> => client.call('POST', '/api/v1/keys', { as: 'admin', json });

describe('a new key', () => {
  it('is shown once, kept as a digest, and works', async () => {
    const made = await create({ name: 'ci', metadata: { team: 'a' } });
    expect(made.status).toBe(201);
    expect(made.headers.get('cache-control')).toBe('no-store');
    const { raw_key: rawKey, ...shown } = made.body;
    expect(isWellFormedApiKey(rawKey)).toBe(true);
    expect(shown).toEqual({
      id: expect.any(String),
      name: 'ci',
      key_prefix: rawKey.slice(0, 12),
      is_active: true,
      rate_limit_rpm: 60,
      expires_at: null,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      last_used_at: null,
      metadata: { team: 'a' },
    });
    const row = await service.database?.database.one<Record<string, unknown>>(
      't',
      sql`select * from api_keys where id = ${shown.id}`,
    );
    expect(row?.['key_hash']).toBe(hashApiKey(rawKey));
    expect(JSON.stringify(row)).not.toContain(rawKey);
    expect(service.output()).not.toContain(rawKey.slice(12));
    expect((await client.call('GET', '/api/v1/keys/validate', { as: rawKey })).body).toEqual({
      valid: true,
      name: 'ci',
    });
  });

  it('can have no limit and an end', async () => {
    const { body } = await create({ name: 'x', rate_limit_rpm: null, expires_at: '2099-01-01T00:00:00+02:00' });
    expect(body).toMatchObject({ rate_limit_rpm: null, expires_at: '2098-12-31T22:00:00.000Z' });
  });

  it.each<[unknown, string]>([
    [{}, '#/name'],
    [{ name: '' }, '#/name'],
    [{ name: 'x'.repeat(101) }, '#/name'],
    [{ name: 7 }, '#/name'],
    [{ name: 'x\u0000' }, '#/name'],
    [{ name: 'x\ud800' }, '#/name'],
    [{ name: 'x', rate_limit_rpm: 0 }, '#/rate_limit_rpm'],
    [{ name: '❤️'.repeat(100) }, '#/name'],
    [{ name: 'x', rate_limit_rpm: 1.5 }, '#/rate_limit_rpm'],
    [{ name: 'x', rate_limit_rpm: '60' }, '#/rate_limit_rpm'],
    [{ name: 'x', rate_limit_rpm: 1e12 }, '#/rate_limit_rpm'],
    [{ name: 'x', expires_at: 'tomorrow' }, '#/expires_at'],
    [{ name: 'x', expires_at: '2026-02-30T00:00:00Z' }, '#/expires_at'],
    [{ name: 'x', expires_at: 12 }, '#/expires_at'],
    [{ name: 'x', metadata: [] }, '#/metadata'],
    [{ name: 'x', metadata: null }, '#/metadata'],
    [{ name: 'x', metadata: { constructor: 1 } }, '#/metadata/constructor'],
    [{ name: 'x', scopes: ['all'] }, '#/scopes'],
  ])('%j is refused at %s', async (json, pointer) => {
    const { status, body } = await create(json);
    expect(status).toBe(422);
    expect(body.errors.map((fault: { pointer: string }) => fault.pointer)).toContain(pointer);
  });

  it('takes every name that can be stored', async () => {
    for (const name of ['😀', "'; drop table api_keys; --", '<b>&"', '\u202e', 'x'.repeat(100), ' ']) {
      expect((await create({ name })).body.name).toBe(name);
    }
  });

  it.each([
    ['2096-01-01T10:00:00', '2096-01-01T10:00:00.000Z'],
    ['2096-01-01T10:00:00.123456', '2096-01-01T10:00:00.123Z'],
    ['2096-01-01T10:00:00+02:00', '2096-01-01T08:00:00.000Z'],
    ['2096-01-01', '2096-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59Z', '9999-12-31T23:59:59.000Z'],
  ])('ends at %s, in UTC', async (expires_at, shown) => {
    expect((await create({ name: 'x', expires_at })).body.expires_at).toBe(shown);
  });

  it.each([
    '1969-12-31T23:59:59Z',
    '0001-01-01T00:00:00Z',
    '-271821-04-20T00:00:00Z',
    '+275760-09-13T00:00:00Z',
    '9999-12-31T23:59:59-14:00',
    '1999-12-31',
    new Date().toISOString(),
    new Date(Date.now() - 3_600_000).toISOString().replace('Z', ''),
    '2026-W01',
    // An ordinal date; engines read the 10th of January as October.
    '2030-010',
    '2026-02-30T00:00:00Z',
    '2016-12-31T23:59:60Z',
    '2026-01-01T00:00:00+99:99',
    '',
  ])('cannot end at %s', async (expires_at) => {
    expect((await create({ name: 'x', expires_at })).status).toBe(422);
  });
});

it('keeps at most 16 KiB of metadata', async () => {
  const metadata = (length: number): object => ({ a: 'x'.repeat(length - '{"a":""}'.length) });
  expect((await create({ name: 'x', metadata: metadata(16_384) })).status).toBe(201);
  expect((await create({ name: 'x', metadata: metadata(16_385) })).status).toBe(422);
});

describe('the list', () => {
  it('is newest first and can be paged by its links, in both forms', async () => {
    for (let count = 0; count < 5; count += 1) await create({ name: `page ${count}` });
    const all = (await client.call('GET', '/api/v1/keys?limit=200', { as: 'admin' })).body as {
      id: string;
      name: string;
    }[];
    expect(all.slice(0, 5).map(({ name }) => name)).toEqual([4, 3, 2, 1, 0].map((count) => `page ${count}`));
    expect(JSON.stringify(all)).not.toMatch(/raw_key|key_hash/);

    const seen: string[] = [];
    let path: string | null = '/api/v1/keys?limit=2';
    while (path !== null) {
      const page: Answer = await client.call('GET', path, { as: 'admin' });
      seen.push(...(page.body as { id: string }[]).map(({ id }) => id));
      path = /^<([^>]+)>; rel="next"$/.exec(page.headers.get('link') ?? '')?.[1] ?? null;
    }
    expect(seen).toEqual(all.map(({ id }) => id));
    const second = await client.call('GET', '/api/v1/keys?limit=2&offset=2', { as: 'admin' });
    expect(second.body.map(({ id }: { id: string }) => id)).toEqual(seen.slice(2, 4));
  });

  it('tells active from revoked keys', async () => {
    const { body } = await create({ name: 'gone' });
    await client.call('DELETE', `/api/v1/keys/${body.id}`, { as: 'admin' });
    const ids = async (filter: string): Promise<string[]> =>
      (await client.call('GET', `/api/v1/keys?limit=200&is_active=${filter}`, { as: 'admin' })).body.map(
        (key: { id: string }) => key.id,
      );
    expect(await ids('false')).toContain(body.id);
    expect(await ids('true')).not.toContain(body.id);
    expect((await ids('true')).length).toBeGreaterThan(0);
  });

  it.each([
    'limit=0',
    'limit=201',
    'limit=x',
    'limit=',
    'offset=10001',
    'offset=-1',
    'cursor=x',
    'cursor=%00',
    'is_active=maybe',
    'limit=1&limit=2',
  ])('refuses ?%s', async (query) => {
    expect((await client.call('GET', `/api/v1/keys?${query}`, { as: 'admin' })).status).toBe(422);
  });

  it('knows when a key was last used', async () => {
    const { body } = await create({ name: 'used' });
    const before = Date.now();
    for (let count = 0; count < 5; count += 1) await client.call('GET', '/api/v1/keys/validate', { as: body.raw_key });
    const [key] = (await client.call('GET', '/api/v1/keys?limit=1', { as: 'admin' })).body;
    expect(key.id).toBe(body.id);
    expect(Math.abs(Date.parse(key.last_used_at) - before)).toBeLessThan(60_000);
  });
});

describe('revoking', () => {
  it('works once', async () => {
    const { body } = await create({ name: 'gone' });
    expect((await client.call('GET', '/api/v1/keys/validate', { as: body.raw_key })).status).toBe(200);
    expect(await client.call('DELETE', `/api/v1/keys/${body.id.toUpperCase()}`, { as: 'admin' })).toMatchObject({
      status: 204,
      body: null,
    });
    expect((await client.call('GET', '/api/v1/keys/validate', { as: body.raw_key })).status).toBe(401);
    expect((await client.call('DELETE', `/api/v1/keys/${body.id}`, { as: 'admin' })).body.code).toBe('not_found');
  });

  it('knows unknown from malformed ids', async () => {
    expect((await client.call('DELETE', `/api/v1/keys/${randomUUID()}`, { as: 'admin' })).status).toBe(404);
    for (const id of ['x', '%00', '1', `${randomUUID()}0`, 'x'.repeat(5_000), "'--"]) {
      expect((await client.call('DELETE', `/api/v1/keys/${id}`, { as: 'admin' })).status).toBe(422);
    }
  });
});

it('a key ends by the clock of the database, whatever was remembered of it', async () => {
  const { body } = await create({ name: 'short', expires_at: '2099-01-01T00:00:00Z', rate_limit_rpm: null });
  expect((await client.call('GET', '/api/v1/keys/validate', { as: body.raw_key })).status).toBe(200);
  await service.database?.database.query(
    't',
    sql`update api_keys set expires_at = clock_timestamp() where id = ${body.id}`,
  );
  await eventually(
    'the key is refused',
    async () => (await client.call('GET', '/api/v1/keys/validate', { as: body.raw_key })).status === 401,
  );
  // It reads as what it is, also in the filter, and can still be revoked.
  const listed = async (query: string): Promise<{ id: string; is_active: boolean }[]> =>
    (await client.call('GET', `/api/v1/keys?limit=200${query}`, { as: 'admin' })).body;
  expect((await listed('')).find(({ id }) => id === body.id)?.is_active).toBe(false);
  expect((await listed('&is_active=false')).map(({ id }) => id)).toContain(body.id);
  expect((await listed('&is_active=true')).map(({ id }) => id)).not.toContain(body.id);
  expect((await client.call('DELETE', `/api/v1/keys/${body.id}`, { as: 'admin' })).status).toBe(204);
});
