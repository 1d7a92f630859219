import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { api, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';

const UNKNOWN = '00000000-0000-4000-8000-000000000000';

let service: Service;
let client: Api;
beforeAll(async () => {
  service = await startService({ ROLES: 'api', REQUIRE_AUTH: 'true' });
  client = await api(service);
});
afterAll(() => service.stop());

describe('a query parameter that a route does not know', () => {
  it('is refused by name on every route of the API, whatever else is right', async () => {
    const routes = client.operations.filter(({ path }) => path.startsWith('/api/'));
    expect(routes.length).toBeGreaterThan(40);
    for (const { method, path, parameters } of routes) {
      const known = parameters?.filter(({ in: place }) => place === 'query').map(({ name }) => name) ?? [];
      const query = known.includes('status') ? 'status=complete&no_such=1' : 'no_such=1';
      const answer = await client.call(method, `${path.replaceAll(/\{\w+\}/g, UNKNOWN)}?${query}`, {
        as: 'admin',
        ...(method === 'POST' || method === 'PATCH' ? { json: {} } : {}),
      });
      expect([method, path, answer.status, answer.body.code, answer.body.errors]).toEqual([
        method,
        path,
        422,
        'validation_failed',
        [{ pointer: '#/query/no_such', detail: 'The query parameter is not known.' }],
      ]);
    }
  });

  it.each([
    '__proto__',
    'constructor',
    'toString',
    'Status',
    'status[]',
    'status ',
    'a%00b',
    '%F0%9F%9A%80',
    '',
    'limit',
  ])('is refused also when it is called %j', async (name) => {
    const answer = await client.call('DELETE', `/api/v1/pipeline/tasks?status=complete&${name}=1`, { as: 'admin' });
    expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
  });

  it('is named with what the route takes instead', async () => {
    const answer = await client.call('GET', '/api/v1/agents?nmae=x&page=2', { as: 'admin' });
    expect(answer.body.detail).toMatch(
      /^The query parameters "nmae", "page" are not known: this route takes only .*name/,
    );
    const none = await client.call('GET', '/api/v1/tools?q=x', { as: 'admin' });
    expect(none.body.detail).toBe('The query parameter "q" is not known: this route takes no query parameter.');
  });

  it('tells nothing to a caller without a credential, and nothing is wrong with it outside the API', async () => {
    expect((await service.fetch('/api/v1/agents?no_such=1')).status).toBe(401);
    expect((await service.fetch('/health/live?no_such=1')).status).toBe(200);
    expect((await service.fetch('/api/v1/no-such-route?no_such=1')).status).toBe(404);
  });
});
