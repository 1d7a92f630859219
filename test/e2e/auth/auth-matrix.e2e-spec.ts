import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { generateApiKey } from '../../../src/modules/auth/api-key.js';
import { sql } from '../../../src/platform/database/index.js';
import { api, type Api, type Operation } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

/** What a request presents, by the name of its row in the matrix. */
type Identity =
  | 'nobody'
  | 'a malformed key'
  | 'an unknown key'
  | 'an expired key'
  | 'a revoked key'
  | 'two different keys'
  | 'a key'
  | 'a key as bearer token'
  | "somebody else's key"
  | 'a wrong admin secret'
  | 'a key and a wrong admin secret'
  | 'the admin'
  | 'the admin and a revoked key';

type Guard = 'open' | 'key while auth is off' | 'key' | 'admin';

/** The contract, by hand: the status of the refusal, or null where the request gets through. */
const MATRIX: Record<Identity, Record<Guard, 401 | 403 | null>> = {
  nobody: { open: null, 'key while auth is off': null, key: 401, admin: 401 },
  'a malformed key': { open: null, 'key while auth is off': 401, key: 401, admin: 401 },
  'an unknown key': { open: null, 'key while auth is off': 401, key: 401, admin: 401 },
  'an expired key': { open: null, 'key while auth is off': 401, key: 401, admin: 401 },
  'a revoked key': { open: null, 'key while auth is off': 401, key: 401, admin: 401 },
  'two different keys': { open: null, 'key while auth is off': 401, key: 401, admin: 401 },
  'a key': { open: null, 'key while auth is off': null, key: null, admin: 403 },
  'a key as bearer token': { open: null, 'key while auth is off': null, key: null, admin: 403 },
  "somebody else's key": { open: null, 'key while auth is off': null, key: null, admin: 403 },
  'a wrong admin secret': { open: null, 'key while auth is off': 401, key: 401, admin: 403 },
  'a key and a wrong admin secret': { open: null, 'key while auth is off': null, key: null, admin: 403 },
  'the admin': { open: null, 'key while auth is off': null, key: null, admin: null },
  'the admin and a revoked key': { open: null, 'key while auth is off': 401, key: 401, admin: 401 },
};

function guardOf(operation: Operation): Guard {
  const schemes = operation.security.map((one) => Object.keys(one).join());
  if (schemes.length === 0) return 'open';
  if (schemes.includes('')) return 'key while auth is off';
  return schemes.includes('ApiKey') ? 'key' : 'admin';
}

async function credentials(service: Service): Promise<Record<Identity, Record<string, string>>> {
  const [key, other, expired, revoked] = await Promise.all([
    service.createKey({ name: 'one' }),
    service.createKey({ name: 'other' }),
    service.createKey({ name: 'expired' }),
    service.createKey({ name: 'revoked' }),
  ]);
  await service.database?.database.query(
    'test.expire',
    sql`update api_keys set expires_at = clock_timestamp() where id = ${expired.id}`,
  );
  expect((await service.admin(`/api/v1/keys/${revoked.id}`, { method: 'DELETE' })).status).toBe(204);
  return {
    nobody: {},
    'a malformed key': { 'x-api-key': `${key.raw_key.slice(0, -1)}!` },
    'an unknown key': { 'x-api-key': generateApiKey() },
    'an expired key': { 'x-api-key': expired.raw_key },
    'a revoked key': { authorization: `Bearer ${revoked.raw_key}` },
    'two different keys': { 'x-api-key': key.raw_key, authorization: `Bearer ${other.raw_key}` },
    'a key': { 'x-api-key': key.raw_key },
    'a key as bearer token': { authorization: `bearer ${key.raw_key}` },
    "somebody else's key": { 'x-api-key': other.raw_key },
    'a wrong admin secret': { 'x-admin-secret': `${service.adminSecret}x` },
    'a key and a wrong admin secret': { 'x-api-key': key.raw_key, 'x-admin-secret': 'wrong' },
    'the admin': { 'x-admin-secret': service.adminSecret },
    'the admin and a revoked key': { 'x-admin-secret': service.adminSecret, 'x-api-key': revoked.raw_key },
  };
}

/** A request that gets past the guard and as little further as possible. */
function pathOf(operation: Operation): string {
  return operation.path.replace(/\{\w+\}/g, () => randomUUID());
}

describe.each([
  ['on', { REQUIRE_AUTH: 'true' }],
  ['off', { REQUIRE_AUTH: 'false' }],
] as const)('with auth %s', (_state, env) => {
  let service: Service;
  let client: Api;
  let presented: Record<Identity, Record<string, string>>;
  let addresses = 0;

  beforeAll(async () => {
    // Each request comes from another address, so that the limit of failures stays out of the way.
    service = await startService({ ...env, TRUST_PROXY: '1' });
    client = await api(service);
    presented = await credentials(service);
  });
  afterAll(() => service.stop());

  it.each(Object.keys(MATRIX) as Identity[])('every route treats %s as the contract says', async (identity) => {
    const faults: string[] = [];
    for (const operation of client.operations) {
      addresses += 1;
      const abort = new AbortController();
      const response = await client.stream(operation.method, pathOf(operation), {
        headers: { ...presented[identity], 'x-forwarded-for': `198.51.${addresses >> 8}.${addresses & 255}` },
        ...(operation.requestBody === undefined ? {} : { json: {} }),
        signal: abort.signal,
      });
      const expected = MATRIX[identity][guardOf(operation)];
      const refused = response.status === 401 || response.status === 403;
      if (refused ? response.status !== expected : expected !== null) {
        faults.push(`${operation.method} ${operation.path}: ${response.status} instead of ${expected ?? 'passing'}`);
      }
      if (response.status >= 500) faults.push(`${operation.method} ${operation.path}: ${response.status}`);
      if (response.status === 401) expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
      abort.abort();
    }
    expect(faults).toEqual([]);
  });

  it('refuses before it reads a body', async () => {
    const wanting = client.operations.filter(({ requestBody }) => requestBody !== undefined);
    expect(wanting.length).toBeGreaterThan(5);
    for (const identity of Object.keys(MATRIX) as Identity[]) {
      for (const operation of wanting) {
        addresses += 1;
        const { status } = await service.fetch(pathOf(operation), {
          method: operation.method,
          headers: {
            ...presented[identity],
            'content-type': 'application/json',
            'x-forwarded-for': `198.52.${addresses >> 8}.${addresses & 255}`,
          },
          body: '{',
        });
        const expected = MATRIX[identity][guardOf(operation)] ?? 422;
        expect([identity, operation.operationId, status]).toEqual([identity, operation.operationId, expected]);
      }
    }
  });

  it('has routes of every kind', () => {
    const kinds = new Set(client.operations.map(guardOf));
    expect(kinds).toEqual(
      new Set(env.REQUIRE_AUTH === 'true' ? ['open', 'key', 'admin'] : [...kinds, 'open', 'key', 'admin']),
    );
  });
});
