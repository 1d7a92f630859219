import { afterEach, describe, expect, it } from '@jest/globals';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder, type TemporaryFolder } from '../../support/servers/index.js';
import { startService, type Service } from '../../support/service.js';

const services: Service[] = [];
const folders: TemporaryFolder[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.stop()));
  for (const folder of folders.splice(0)) folder.remove();
});

async function start(env: Record<string, string>): Promise<Service> {
  const service = await startService({ ADMIN_SECRET: '', ...env }, { listening: true });
  services.push(service);
  return service;
}

function folder(): string {
  const made = temporaryFolder();
  folders.push(made);
  return join(made.path, 'data');
}

const list = (service: Service, secret: string): Promise<Response> =>
  service.fetch('/api/v1/keys', { headers: { 'x-admin-secret': secret } });

describe('without ADMIN_SECRET', () => {
  it('a secret is made once, kept with mode 0600, and its place is told but not itself', async () => {
    const dataDir = folder();
    const first = await start({ NOVA_DATA_DIR: dataDir });
    const file = join(dataDir, 'admin-secret');
    const secret = readFileSync(file, 'utf8').trim();
    expect(secret.length).toBeGreaterThanOrEqual(43);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(first.output()).toContain(file);
    expect(first.output()).not.toContain(secret);
    await first.untilReady();
    expect((await list(first, secret)).status).toBe(200);
    expect((await list(first, '')).status).toBe(401);

    chmodSync(file, 0o644);
    const second = await start({ NOVA_DATA_DIR: dataDir });
    await second.untilReady();
    expect((await list(second, secret)).status).toBe(200);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('processes that start together agree on one', async () => {
    const dataDir = folder();
    const all = await Promise.all([1, 2, 3].map(() => start({ NOVA_DATA_DIR: dataDir })));
    const secret = readFileSync(join(dataDir, 'admin-secret'), 'utf8').trim();
    for (const service of all) {
      await service.untilReady();
      expect((await list(service, secret)).status).toBe(200);
    }
  });

  it.each([
    ['the folder cannot be made', (dataDir: string): void => writeFileSync(dataDir, '')],
    [
      'the file holds something else',
      (dataDir: string): void => {
        mkdirSync(dataDir);
        writeFileSync(join(dataDir, 'admin-secret'), 'short\n');
      },
    ],
  ])('the admin routes stay closed when %s, and the rest works', async (_what, prepare) => {
    const dataDir = folder();
    prepare(dataDir);
    const service = await start({ NOVA_DATA_DIR: dataDir });
    for (const secret of ['', 'short', 'x']) {
      const answer = await list(service, secret);
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([503, 'admin_not_configured']);
    }
    expect((await service.fetch('/health/live')).status).toBe(200);
  });

  it('none is made in production: admin routes answer 503', async () => {
    const dataDir = folder();
    const service = await start({ NOVA_DATA_DIR: dataDir, NODE_ENV: 'production', REQUIRE_AUTH: 'true' });
    await service.untilReady();
    const answer = await list(service, 'anything');
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).not.toBeNull();
    expect(((await answer.json()) as { code: string }).code).toBe('admin_not_configured');
    expect((await service.fetch('/api/v1/keys/validate')).status).toBe(401);
    expect(() => statSync(join(dataDir, 'admin-secret'))).toThrow();
  });
});
