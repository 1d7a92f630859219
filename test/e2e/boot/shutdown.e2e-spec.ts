import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { sql } from '../../../src/platform/database/index.js';
import { createTestDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { holdLock } from '../../support/held-lock.js';
import { startService, type Service } from '../../support/service.js';

const services: Service[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.kill()));
});

async function start(env: Record<string, string> = {}): Promise<Service> {
  const service = await startService(env);
  services.push(service);
  return service;
}

/** A connection on which the beginning of a request was sent. */
async function halfARequest(
  service: Service,
  text: string,
): Promise<{ finish(rest: string): Promise<string>; socket: Socket }> {
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
  await once(socket, 'connect');
  let answer = '';
  socket.on('data', (data: Buffer) => (answer += data.toString()));
  const closed = once(socket, 'close');
  socket.write(text);
  return {
    socket,
    finish: async (rest) => {
      socket.write(rest);
      await closed;
      return answer;
    },
  };
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  it('makes the process unready, lets requests under way end, and ends it with 0', async () => {
    const service = await start();
    const body = JSON.stringify({ name: 'late' });
    const head = `Host: localhost\r\nX-Admin-Secret: ${service.adminSecret}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
    const create = await halfARequest(service, `POST /api/v1/keys HTTP/1.1\r\n${head}\r\n\r\n{`);
    const probe = await halfARequest(service, 'GET /health/ready HTTP/1.1\r\nHost: localhost\r\n');
    // Both have arrived when a later request was answered.
    await service.fetch('/health/live');
    service.signal(signal);
    await service.untilLogged(({ message }) => message === 'The service is shutting down');

    const ready = await probe.finish('\r\n');
    expect(ready).toMatch(/^HTTP\/1\.1 503 /);
    expect(ready).toMatch(/connection: close/i);
    expect(ready).toMatch(/"status":"shutting_down".*"reason":"draining"/);
    const created = await create.finish(body.slice(1));
    expect(created).toMatch(/^HTTP\/1\.1 201 /);
    expect(await service.exited).toBe(0);
  });
});

it('a second signal ends it at once', async () => {
  const service = await start({ SHUTDOWN_GRACE_SECONDS: '600' });
  const stuck = await halfARequest(
    service,
    'POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
  );
  stuck.socket.on('error', () => undefined);
  await service.fetch('/health/live');
  service.signal('SIGTERM');
  await service.untilLogged(({ message }) => message === 'The service is shutting down');
  service.signal('SIGTERM');
  expect(await service.exited).toBe(0);
});

it('a signal during the start ends it with 0', async () => {
  const service = await startService({ DATABASE_URL: 'postgres://nova@127.0.0.1:9/nova' }, { listening: true });
  services.push(service);
  service.signal('SIGTERM');
  expect(await service.exited).toBe(0);
});

it('a signal in the middle of a migration ends it with nothing of that file, and the next start applies it', async () => {
  const db = await createTestDatabase({ empty: true });
  const tables = () =>
    db.database.one(
      'test.tables',
      sql`select to_regclass('api_keys') as made, count(*) as noted from schema_migrations`,
    );
  try {
    await db.database.query(
      'test.ledger',
      sql`create table schema_migrations (
            version integer primary key, name text not null, checksum text not null,
            applied_at timestamptz not null default clock_timestamp())`,
    );
    // The first file has run then, and cannot be noted.
    const release = await holdLock(db.database, 'lock table schema_migrations in share mode');
    const first = await startService({ DATABASE_URL: db.url }, { listening: true });
    services.push(first);
    await eventually('the migration waits', async () => {
      const blocked = sql`select 1 from pg_locks where not granted and relation = 'schema_migrations'::regclass`;
      return (await db.database.query('test.blocked', blocked)).length > 0;
    });
    first.signal('SIGTERM');
    expect(await first.exited).toBe(0);
    await release();
    expect(await tables()).toEqual({ made: null, noted: 0 });
    services.push(await startService({ DATABASE_URL: db.url }));
    expect(await tables()).toMatchObject({ made: 'api_keys', noted: expect.any(Number) });
  } finally {
    await db.drop();
  }
});

it('a process that is killed leaves a database that the next one takes over', async () => {
  const service = await start();
  const key = await service.createKey();
  service.signal('SIGKILL');
  await service.exited;
  const next = await startService({ DATABASE_URL: service.database?.url ?? '', REQUIRE_AUTH: 'true' });
  services.push(next);
  expect((await next.fetch('/api/v1/keys/validate', { headers: { 'x-api-key': key.raw_key } })).status).toBe(200);
});
