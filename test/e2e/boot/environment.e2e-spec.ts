import { afterEach, describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { getMetadataStorage } from 'class-validator';
import { Environment } from '../../../src/config/environment.js';
import { createTestDatabase } from '../../support/database.js';
import { startService, type Service, type Settings } from '../../support/service.js';

const services: Service[] = [];
afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.kill()));
});

async function start(env: Settings, options: { listening?: boolean; spawned?: boolean } = {}): Promise<Service> {
  const service = await startService(env, options);
  services.push(service);
  return service;
}

/** Every variable the service reads, from the class that reads them. */
const VARIABLES = [
  ...new Set(
    getMetadataStorage()
      .getTargetValidationMetadatas(Environment, '', false, false)
      .map((rule) => rule.propertyName),
  ),
];

/** A wrong value for each variable that can have one. Each is recognisable, so that it would be found in the output. */
const WRONG: Record<string, string> = {
  DATABASE_URL: 'mysql://canary-1',
  REDIS_URL: 'http://canary-2',
  ADMIN_SECRET: 'canary-3',
  REQUIRE_AUTH: 'canary-4',
  LLM_BASE_URL: 'ftp://canary-5',
  LLM_STREAMING: 'canary-6',
  OPENAI_BASE_URL: 'canary-7',
  ANTHROPIC_BASE_URL: 'canary-8',
  OLLAMA_BASE_URL: 'canary-9',
  MODEL_PRICES: '{"canary-10":1}',
  MODEL_CONNECT_TIMEOUT_MS: 'canary-11',
  MODEL_FIRST_BYTE_TIMEOUT_MS: '-987612',
  MODEL_IDLE_TIMEOUT_MS: '987613.5',
  MODEL_TOTAL_TIMEOUT_MS: 'canary-14',
  SHELL_SANDBOX: 'canary-15',
  LOG_LEVEL: 'canary-16',
  PORT: '987617',
  HOST: 'canary 18',
  NODE_ENV: 'canary-19',
  NOVA_ALLOW_INSECURE: 'canary-20',
  TRUST_PROXY: '987621',
  ANON_RATE_LIMIT_RPM: '-987622',
  MAX_STREAMS: 'canary-123',
  MAX_KEY_STREAMS: 'canary-124',
  ROLES: 'api,canary-23',
  SYNC_WAIT_SECONDS: 'canary-24',
  PROVIDER_WAIT_SECONDS: 'canary-25',
  PIPELINE_MAX_CONCURRENT: 'canary-26',
  TASK_HEARTBEAT_INTERVAL_SECONDS: 'canary-27',
  TASK_STALE_SECONDS: '9876128',
  REAPER_INTERVAL_SECONDS: 'canary-29',
  SHUTDOWN_GRACE_SECONDS: 'canary-30',
  TASK_MAX_CRASHES: 'canary-31',
  MCP_ALLOW_PRIVATE_NETWORKS: 'canary-32',
  RETENTION_TASKS_DAYS: 'canary-33',
  RETENTION_TASK_EVENTS_DAYS: 'canary-34',
  RETENTION_IDEMPOTENCY_KEYS_DAYS: 'canary-35',
  RETENTION_TURNS_DAYS: 'canary-36',
  CORS_ALLOWED_ORIGINS: 'canary-37',
  ALLOWED_HOSTS: 'http://canary-38',
  NOVA_DATA_DIR: '/proc/canary-39',
  NOVA_WORKSPACE: '/',
  SECRETS_KEY: 'canary-40',
  HTTP_PROXY: 'socks5://canary-41',
  HTTPS_PROXY: 'http://canary-42:%zz@proxy',
  PROXY_TRUSTED: 'canary-43',
  MODEL_OPTIONS: '{"canary-44":1}',
  TREE_MAX_FILES: 'canary-45',
  TREE_MAX_MIB: 'canary-46',
  MAX_ADDRESS_CONNECTIONS: 'canary-47',
  MAX_KEY_AGENTS: 'canary-48',
  MAX_KEY_TASKS: 'canary-49',
  MAX_KEY_TURNS: 'canary-50',
  MAX_KEY_MIB: 'canary-51',
  MAX_STARTED_WORK: 'canary-52',
  DISK_MIN_FREE: 'canary-53',
};
/** Variables of which every text is a value. */
const FREE = [
  'DEFAULT_CHAT_MODEL',
  'LLM_API_KEY',
  'OPENAI_API_KEY',
  'ANTHROPIC_API_KEY',
  'GOOGLE_GENERATIVE_AI_API_KEY',
  'MISTRAL_API_KEY',
  'GROQ_API_KEY',
  'ALLOWED_MODELS',
  'NO_PROXY',
];

async function refusal(env: Settings): Promise<string> {
  const service = await start({ DATABASE_URL: undefined, ...env }, { spawned: true });
  expect(await service.exited).toBe(1);
  return service.output();
}

describe('a wrong value', () => {
  it('is known for every variable that can have one', () => {
    expect([...Object.keys(WRONG), ...FREE].sort()).toEqual([...VARIABLES].sort());
  });

  it('ends the start with every faulty variable named and no value shown', async () => {
    // What only the tools can judge, as the workspace, is told with the rest.
    const output = await refusal({ ...WRONG, LLM_API_KEY: 'canary-secret' });
    for (const variable of Object.keys(WRONG)) expect(output).toMatch(new RegExp(`^\\s+${variable} `, 'm'));
    expect(output).not.toMatch(/canary|9876/);
  });

  it.each<[string, Settings, string]>([
    ['an open service on every address', { HOST: '0.0.0.0' }, 'HOST'],
    ['a placeholder as secret', { ADMIN_SECRET: 'change-me-in-production' }, 'ADMIN_SECRET'],
    [
      'a stale time that two heartbeats do not fit in',
      { TASK_STALE_SECONDS: '30', TASK_HEARTBEAT_INTERVAL_SECONDS: '20' },
      'TASK_STALE_SECONDS',
    ],
  ])('%s is refused', async (_what, env, variable) => {
    const output = await refusal(env);
    expect(output).toMatch(new RegExp(`^\\s+${variable} `, 'm'));
    expect(output).not.toContain('change-me');
  });

  it('a port that is taken ends the start with its name', async () => {
    const other: Server = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    try {
      expect(await refusal({ PORT: String(port) })).toMatch(/^PORT .*EADDRINUSE/m);
    } finally {
      other.close();
    }
  });

  it('a host that cannot be listened on ends the start with its name', async () => {
    expect(await refusal({ HOST: '127.999.1.1' })).toMatch(/^PORT .* HOST .*cannot be listened on/m);
  });
});

/** What a shell may hold for other programs and for libraries. */
const SHELL: Settings = {
  NODE_PG_FORCE_NATIVE: '1',
  PGOPTIONS: '-c default_transaction_read_only=on',
  PGSERVICE: 'nowhere',
  PGSERVICEFILE: '/nonexistent',
  PGTZ: 'Asia/Kathmandu',
  DEBUG: '*',
  DEBUG_COLORS: '1',
  NEST_DEBUG: '1',
  NEST_LOG_LEVEL: 'error',
  GIT_DIR: '/nonexistent',
  GIT_WORK_TREE: '/nonexistent',
  GIT_INDEX_FILE: '/nonexistent',
  TZ: 'Asia/Kathmandu',
  LC_ALL: 'tr_TR.UTF-8',
};

describe('a missing value', () => {
  const bare = Object.fromEntries(VARIABLES.map((variable) => [variable, undefined]));
  const empty = Object.fromEntries(VARIABLES.map((variable) => [variable, '']));

  it.each([
    ['absent', bare],
    ['empty', empty],
  ])('never keeps the service from starting: all of them %s', async (_what, env) => {
    // 8000 may be taken on the machine of the test, and the one folder it cannot choose is where it stands.
    const service = await start({ ...env, ...SHELL, PGSSLMODE: 'require', PORT: '0' });
    expect((await service.fetch('/health/live')).status).toBe(200);
    expect(((await (await service.fetch('/health/ready')).json()) as { status: string }).status).toBe('ok');
    expect(service.url).toMatch(/^http:\/\/127\.0\.0\.1:/);
    expect(service.output()).toMatch(/REQUIRE_AUTH is false.*127\.0\.0\.1.*loopback only/);
  });
});

it('what the shell sets for libraries changes nothing and writes no secret', async () => {
  const service = await start({
    ...SHELL,
    HTTP_PROXY: 'http://user:canary-of-a-proxy@127.0.0.1:9',
    NODE_DEBUG: 'child',
  });
  const output = service.output();
  expect(output).not.toContain('canary-of-a-proxy');
  expect(service.logs.filter(({ level }) => level === 'raw')).toEqual([]);
  expect(output).toMatch(/Not used: .*PGOPTIONS, PGSERVICE.*How to connect stands in DATABASE_URL/);
  expect(output).toMatch(/Not used: NODE_PG_FORCE_NATIVE, DEBUG, DEBUG_COLORS, NEST_DEBUG, NEST_LOG_LEVEL\./);
  expect(output).toContain('NODE_DEBUG is set');
});

it('a process without the role api has its probes and nothing else', async () => {
  const service = await start({ ROLES: 'worker,scheduler' });
  expect((await service.fetch('/health/live')).status).toBe(200);
  const answer = await service.admin('/api/v1/keys');
  expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([404, 'not_found']);
});

it('a secret that is given by a file is in no environment', async () => {
  const secret = 'canary-of-an-admin-secret';
  const database = await createTestDatabase();
  try {
    const given = await startService(
      {
        ADMIN_SECRET: undefined,
        ADMIN_SECRET_FILE: 'admin.txt',
        DATABASE_URL: undefined,
        DATABASE_URL_FILE: 'database.txt',
        LLM_BASE_URL: 'http://127.0.0.1:9/v1',
        LLM_API_KEY: 'canary-of-the-control',
      },
      { files: { 'admin.txt': `${secret}\n`, 'database.txt': database.url } },
    );
    services.push(given);
    const answer = await given.fetch('/api/v1/keys', { headers: { 'x-admin-secret': secret } });
    expect(answer.status).toBe(200);
    const environment = readFileSync(`/proc/${given.pid}/environ`, 'utf8');
    expect(environment).not.toContain(secret);
    expect(environment).not.toContain(database.url);
    // The environment that the process is started with stays readable, whatever it does about it.
    expect(environment).toContain('canary-of-the-control');
    expect(given.output()).not.toContain(secret);
  } finally {
    await Promise.all(services.splice(0).map((service) => service.kill()));
    await database.drop();
  }
});
