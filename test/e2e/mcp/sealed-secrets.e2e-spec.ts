import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { execute } from '../../support/servers/test-servers.js';
import { startService, type Service } from '../../support/service.js';

const SMALL = join(fileURLToPath(import.meta.url), '../../../integration/mcp/servers/stdio-server.mjs');
const SERVERS = '/api/v1/mcp-servers';
const MASK = '********';
const CANARY = 'canary-of-a-server';
const [OLD, NEW] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

interface Server {
  id: string;
  status: string;
  last_error: string | null;
  env: Record<string, string>;
}

/** What a service with this `key` does on the one database of this file. */
async function withKey(key: string, use: (service: Service) => Promise<void>): Promise<void> {
  const service = await startService({ DATABASE_URL: database.url, SECRETS_KEY: key });
  try {
    await service.untilLogged(({ message }) => message === 'The start is complete');
    await use(service);
    expect(service.output()).not.toContain('canary');
  } finally {
    await service.stop();
  }
}
const ask = async <T>(service: Service, path = '', init?: object): Promise<T> =>
  (await (await service.admin(`${SERVERS}${path}`, init)).json()) as T;
/** The one server, once its connection has settled and it is as `matches` says. */
const settled = (service: Service, matches: (server: Server) => boolean = () => true): Promise<Server> =>
  eventually('the server has settled', async () => {
    const [server] = await ask<Server[]>(service);
    return server !== undefined && server.status !== 'connecting' && matches(server) && server;
  });
const stored = async (): Promise<string> => JSON.stringify(await execute(database.url, 'select env from mcp_servers'));
const readiness = async (service: Service): Promise<object> => (await service.fetch('/health/ready')).json() as object;

it('secrets survive their keys, one start after the other', async () => {
  await withKey('', async (service) => {
    const json = { name: 's', transport: 'stdio', command: 'node', args: [SMALL], env: { TOKEN: CANARY } };
    expect(await ask(service, '', { method: 'POST', json })).toMatchObject({ status: 'connected' });
    expect(await stored()).toContain(CANARY);
    const reason = 'SECRETS_KEY is not set: secrets of MCP servers are stored as plain text';
    expect(await readiness(service)).toMatchObject({ status: 'ok', info: { secrets: { reason } } });
    expect(service.logs.filter(({ message }) => message === reason)).toHaveLength(1);
  });

  await withKey(OLD, async (service) => {
    expect(await settled(service)).toMatchObject({ status: 'connected', env: { TOKEN: MASK } });
    expect(await stored()).not.toContain('canary');
    expect(await readiness(service)).toMatchObject({ info: { secrets: { status: 'up' } } });
  });

  const sealed = await stored();
  for (const key of [NEW, '']) {
    await withKey(key, async (service) => {
      const { id, ...server } = await settled(service);
      expect(server).toMatchObject({
        status: 'failed',
        last_error: 'env.TOKEN cannot be read: SECRETS_KEY does not hold the key that it was sealed with',
        env: { TOKEN: MASK },
      });
      const json = { description: 'changed', env: { TOKEN: MASK } };
      expect(await ask(service, `/${id}`, { method: 'PATCH', json })).toMatchObject({ status: 'failed' });
      expect(await stored()).toBe(sealed);
    });
  }

  await withKey(`${NEW},${OLD}`, async (service) => {
    expect(await settled(service)).toMatchObject({ status: 'connected', last_error: null });
    expect(await stored()).not.toBe(sealed);
  });

  await withKey(NEW, async (service) => {
    expect(await settled(service)).toMatchObject({ status: 'connected' });
    await execute(database.url, `update mcp_servers set env = jsonb_set(env, '{TOKEN,sealed}', '"AAAA"')`);
    const { id } = await settled(service);
    await ask(service, `/${id}/reload`, { method: 'POST' });
    const reason = 'env.TOKEN cannot be read: what is stored is not what was sealed';
    await settled(service, ({ last_error }) => last_error?.includes(reason) ?? false);
    const json = { env: { TOKEN: 'a-new-canary' } };
    expect(await ask(service, `/${id}`, { method: 'PATCH', json })).toMatchObject({ status: 'connected' });
  });
});
