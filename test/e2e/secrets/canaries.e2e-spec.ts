/** @needs redis-server @needs bwrap */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { eventually } from '../../support/eventually.js';
import { chunk, END, event, fails, ModelServer, streams, type Answer, type Asked } from '../../support/model-server.js';
import { PipelineClient } from '../../support/pipeline-client.js';
import { startPostgres, startRedis, type TestPostgres, type TestRedis } from '../../support/servers/index.js';
import { execute } from '../../support/servers/test-servers.js';
import { startService, type LogLine, type Service, type ServiceOptions, type Settings } from '../../support/service.js';
import { PASSING, StageModels, type StageAnswer } from '../../support/stage-models.js';
import { Canaries } from './canaries.js';
import { databaseText, descendants, folderText, watchRedis } from './surfaces.js';

const SMALL = join(fileURLToPath(import.meta.url), '../../../integration/mcp/servers/stdio-server.mjs');

const secrets = new Canaries();
/** What is said aloud, and must therefore turn up: a surface without it was not looked at. */
const spoken = new Canaries();
const SPOKEN = spoken.make('spoken');
/** All that was written to a surface, by its name. */
const surfaces = new Map<string, string[]>();
const keep = (surface: string, text: string): void => {
  surfaces.set(surface, [...(surfaces.get(surface) ?? []), text]);
};

const adminSecret = secrets.make('ADMIN_SECRET', (core) => `Adm\\in" ${core}`);
const secretsKey = secrets.make('SECRETS_KEY', (core) => `${core}${core.slice(0, 18)}A=`);
const databasePassword = secrets.make('password of DATABASE_URL', (core) => `p@s"s'/${core}:%`);
const redisPassword = secrets.make('password of REDIS_URL', (core) => `r#${core}"?`);
const gatewayPassword = secrets.make('password of LLM_BASE_URL');
const llmKey = secrets.make('LLM_API_KEY', (core) => `gw-"${core}"`);
const openaiKey = secrets.make('OPENAI_API_KEY', (core) => `sk-proj-${core}`);
const anthropicKey = secrets.make('ANTHROPIC_API_KEY', (core) => `sk-ant-${core}`);
const ENVIRONMENT: Settings = Object.fromEntries(
  [
    'GOOGLE_GENERATIVE_AI_API_KEY',
    'MISTRAL_API_KEY',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_SESSION_TOKEN',
    'GITHUB_TOKEN',
    'NPM_TOKEN',
    'SLACK_BOT_TOKEN',
    'VAULT_TOKEN',
    'AZURE_CLIENT_SECRET',
  ].map((name) => [name, secrets.make(name)]),
);
const ENV_FILE = [
  `GROQ_API_KEY=${secrets.make('GROQ_API_KEY of .env')}`,
  `STRIPE_SECRET_KEY="${secrets.make('STRIPE_SECRET_KEY of .env')}"`,
  `SENTRY_DSN=https://${secrets.make('SENTRY_DSN of .env')}@sentry.example/1`,
].join('\n');
const stdioEnv = secrets.make('env of a stdio server', (core) => `st"dio ${core}`);
const boxedEnv = secrets.make('env of a stdio server in a box');
const headerToken = secrets.make('header of an http server', (core) => `Bearer tok/${core}`);
const otherHeader = secrets.make('second header of an http server');

let postgres: TestPostgres;
let redis: TestRedis;
let models: StageModels;
let echo: ModelServer;
let watched: Awaited<ReturnType<typeof watchRedis>>;
let mcp: Server;
let service: Service;
let pipeline: PipelineClient;
let key = '';

/** All that a request came with, as gateways repeat it in their errors. */
const credentials = ({ headers }: Asked): string =>
  `Incorrect API key provided: ${String(headers.authorization ?? headers['x-api-key'])} in ${JSON.stringify(headers)}`;
const status =
  (code: number): Answer =>
  (response, asked) =>
    fails(code, { error: { message: credentials(asked), type: 'invalid_request_error', code: credentials(asked) } })(
      response,
      asked,
    );
const FAULTS: Record<string, Answer> = {
  'status 401': status(401),
  'status 403': status(403),
  'status 404': status(404),
  'status 400': status(400),
  'status 500': (response, asked) => fails(500, `<html>${credentials(asked)}</html>`)(response, asked),
  'an error in the stream': (response, asked) =>
    streams(chunk({ content: 'I ' }), event({ error: { message: credentials(asked), code: credentials(asked) } }))(
      response,
      asked,
    ),
  'no JSON in the stream': (response, asked) => streams(event(credentials(asked)), ...END)(response, asked),
  'an unknown tool': (response, asked) =>
    streams(
      chunk({ tool_calls: [{ index: 0, id: 'x', function: { name: 'no_such', arguments: '{"a":' } }] }),
      chunk({}, 'tool_calls'),
      event(credentials(asked)),
    )(response, asked),
  'a cut connection': (response, asked) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${credentials(asked)}`);
    response.destroy();
  },
  // Last, since the provider is left alone for a second after it.
  'status 429': (response, asked) =>
    fails(429, { error: { message: credentials(asked) } }, { 'retry-after': '1', 'x-echo': 'x' })(response, asked),
};

beforeAll(async () => {
  [postgres, redis, models, echo] = await Promise.all([
    startPostgres(),
    startRedis(),
    StageModels.start(),
    ModelServer.start(),
  ]);
  await execute(postgres.url(), `create role nova login password '${databasePassword.replaceAll("'", "''")}'`);
  await execute(postgres.url(), 'create database nova owner nova');
  const plain = new Redis(redis.url);
  await plain.config('SET', 'requirepass', redisPassword);
  plain.disconnect();
  watched = await watchRedis(redisUrl(redisPassword));
  mcp = createServer((request, response) => {
    const told = JSON.stringify(request.headers);
    if (request.url === '/refuses') return void response.writeHead(401, { 'www-authenticate': told }).end(told);
    if (request.url === '/garbage')
      return void response.writeHead(200, { 'content-type': 'application/json' }).end(told);
    const error = { code: -32_000, message: told, data: told };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 0, error }));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => mcp.once('listening', resolve));

  service = await start(
    {
      ADMIN_SECRET: adminSecret,
      SECRETS_KEY: secretsKey,
      DATABASE_URL: databaseUrl(databasePassword),
      REDIS_URL: redisUrl(redisPassword),
      LLM_BASE_URL: models.url.replace('//', `//gateway:${gatewayPassword}@`),
      LLM_API_KEY: llmKey,
      OPENAI_API_KEY: openaiKey,
      OPENAI_BASE_URL: models.url,
      ANTHROPIC_API_KEY: anthropicKey,
      ANTHROPIC_BASE_URL: echo.url,
      REQUIRE_AUTH: 'true',
      SHELL_SANDBOX: 'nova',
      DEFAULT_CHAT_MODEL: models.model({ task: [SPOKEN] }),
      MCP_ALLOW_PRIVATE_NETWORKS: 'true',
      ...ENVIRONMENT,
    },
    { files: { '.env': ENV_FILE } },
  );
  mkdirSync(service.workspace, { recursive: true });
  writeFileSync(join(service.workspace, 'spoken.txt'), SPOKEN);
  key = (await service.createKey()).raw_key;
  secrets.adopt('raw value of an API key', key.slice('sk-nova-'.length));
  pipeline = await PipelineClient.of(service);
});
afterAll(async () => {
  await service?.stop();
  await Promise.all([models?.stop(), echo?.stop(), redis?.stop(), postgres?.stop()]);
  mcp?.close();
});

function databaseUrl(password: string): string {
  return postgres.url('nova').replace(/\/\/[^@]*@/, `//nova:${encodeURIComponent(password)}@`);
}

function redisUrl(password: string): string {
  return redis.url.replace('//', `//:${encodeURIComponent(password)}@`);
}

/** A service whose log is looked at, with no canary in its environment but those given. */
async function start(env: Settings, options: ServiceOptions = {}): Promise<Service> {
  const started = await startService(env, options);
  void started.exited.then(() => keep('log', started.output()));
  return started;
}

/** Asks as the holder of the key and keeps the answer, its headers too. */
async function ask(path: string, init: RequestInit & { json?: unknown } = {}, as: 'key' | 'admin' = 'key') {
  const headers = new Headers(init.headers);
  if (as === 'key' && !headers.has('x-api-key')) headers.set('x-api-key', key);
  const request = { ...init, headers };
  const answer = await (as === 'admin' ? service.admin(path, request) : service.fetch(path, request));
  const text = await answer.text();
  keep('answers', `${answer.status} ${JSON.stringify([...answer.headers])} ${text}`);
  return { status: answer.status, text, json: () => JSON.parse(text) as Record<string, unknown> };
}

const calls = (...tool_calls: [name: string, args?: object][]): StageAnswer => ({
  tool_calls: tool_calls.map(([name, args = {}]) => ({ name, arguments: args })),
});

/** A turn of an agent that makes these rounds of calls, waited for and streamed; every way to read it again is kept. */
async function turn(rounds: StageAnswer[], model?: string): Promise<Record<string, unknown>> {
  const script = (): StageAnswer[] => [...rounds, SPOKEN];
  const config = { name: `An agent ${SPOKEN}`, model: model ?? models.model({ task: script() }), tools: null };
  const agent = (await ask('/api/v1/agents', { method: 'POST', json: { config } })).json();
  const body = { agent_id: agent['id'], messages: [{ role: 'user', content: SPOKEN }] };
  const answered = (await ask('/api/v1/tasks', { method: 'POST', json: body })).json();
  if (model === undefined) {
    const json = { config: { model: models.model({ task: script() }) } };
    await ask(`/api/v1/agents/${String(agent['id'])}`, { method: 'PATCH', json });
  }
  const stream = await service.fetch('/api/v1/tasks/stream', {
    method: 'POST',
    json: body,
    headers: { 'x-api-key': key },
  });
  keep('streams', await stream.text());
  const id = stream.headers.get('x-task-id') ?? '';
  const replay = await service.fetch(`/api/v1/tasks/${id}/events`, { headers: { 'x-api-key': key } });
  keep('streams', await replay.text());
  await ask(`/api/v1/tasks/${id}`);
  await ask(`/api/v1/agents/${String(agent['id'])}`);
  return answered;
}

/** Results of a turn's calls in the order they were asked for, of one tool alone when it is named. */
function results(answered: Record<string, unknown>, tool?: string): string[] {
  const all = answered['tool_calls'] as { id: string; name: string; result: string }[];
  return all.filter(({ name }) => tool === undefined || name === tool).map(({ result }) => result);
}

const PROBES = [
  'env; export -p; set',
  'cat /proc/self/environ /proc/1/environ /proc/*/environ /proc/*/cmdline /proc/*/task/*/environ 2>/dev/null | tr "\\0" "\\n"',
  'base64 /proc/*/environ; cat /proc/self/mountinfo /proc/self/fdinfo/* /proc/self/maps; ls -laR /proc/*/fd',
  'find / -xdev \\( -name ".env*" -o -name "admin-secret*" -o -name "*.log" \\) -exec cat {} + 2>/dev/null',
  'cat spoken.txt; for fd in $(ls /proc/self/fd); do timeout 1 cat <&$fd; done',
  'git config --list --show-origin; git -c alias.x="!env" x; git var -l',
  'ls -la / /nova /run /run/nova /tmp /dev/shm; cat ../.env ../data/* /nova/.env /nova/../.env',
];

describe('what agents do', () => {
  let shells: Record<string, unknown>;

  it('run_shell finds its environment, processes and files, and no secret among them', async () => {
    const commands = PROBES.map((command): [string, object] => ['run_shell', { command }]);
    shells = await turn([calls(...commands)]);
    expect(results(shells)).toHaveLength(PROBES.length);
    expect(results(shells).filter((text) => text.includes('HOME=')).length).toBeGreaterThan(1);
    expect(spoken.in(results(shells).join())).toEqual(['spoken']);
  });

  it('file and git tools find the workspace and the code of the service', async () => {
    const home = join(service.workspace, '..');
    const paths = ['.env', '../.env', '../data/admin-secret', `${home}/.env`, '/nova/.env', '/nova/src/../../.env'];
    const places = [...paths, '/proc/self/environ', '/workspace/../../proc/1/environ', 'spoken.txt'];
    const read = await turn([calls(...places.map((path): [string, object] => ['read_file', { path }]))]);
    expect(results(read).filter((text) => text.includes('status="ok"'))).toHaveLength(1);
    await turn([
      calls(
        ...['.', '..', '/', '/nova', '/nova/src/config'].map((path): [string, object] => ['list_dir', { path }]),
        ['search_codebase', { pattern: 'SECRET|KEY|TOKEN' }],
        ['search_codebase', { pattern: '.', path: '/nova/src/config' }],
        ['write_file', { path: 'made.txt', content: SPOKEN }],
        ['edit_file', { path: 'made.txt', old: SPOKEN, new: `${SPOKEN} ${SPOKEN}` }],
      ),
      calls(['run_shell', { command: 'git init -q . && git add made.txt' }]),
      calls(['git_status'], ['git_diff', { staged: true }], ['git_commit', { message: SPOKEN, files: ['made.txt'] }]),
      calls(['git_log'], ['git_diff', { path: '../.env' }]),
    ]);
  });

  it('platform tools tell of agents, models and tasks', async () => {
    const told = await turn([
      calls(['list_agents'], ['list_available_models'], ['create_agent', { name: 'Made', tools: [] }]),
      calls(['create_task', { description: SPOKEN }], ['create_task', { description: '', pod_name: SPOKEN }]),
      calls(['get_task', { task_id: service.pid }], ['get_agent_info', { agent_id: SPOKEN }], ['no_such_tool']),
    ]);
    expect(results(told).join()).toContain('agent_id');
  });

  it('the servers of MCP tell all they know, to the model and in their errors', async () => {
    const stdio = { transport: 'stdio', command: 'node', args: [SMALL, JSON.stringify({ leak: true })] };
    const HALF_SAID = 'console.error(".".repeat(951) + process.env.TOKEN); process.exit(3)';
    const url = `http://127.0.0.1:${(mcp.address() as AddressInfo).port}`;
    const headers = { Authorization: headerToken, 'X-Other': otherHeader };
    mkdirSync(service.workspace, { recursive: true });
    writeFileSync(join(service.workspace, 'server.mjs'), readFileSync(SMALL));
    const boxed = { ...stdio, args: ['/workspace/server.mjs', JSON.stringify({ leak: true })], sandbox: 'workspace' };
    const servers: object[] = [
      { ...stdio, name: 'loud', env: { TOKEN: stdioEnv } },
      { ...boxed, name: 'boxed', env: { TOKEN: boxedEnv } },
      { ...stdio, name: 'ends', env: { TOKEN: stdioEnv }, args: ['-e', HALF_SAID] },
      { ...stdio, name: 'missing', env: { TOKEN: stdioEnv }, command: '/no/such/program' },
      { name: 'refuses', transport: 'http', url: `${url}/refuses`, headers },
      { name: 'garbage', transport: 'http', url: `${url}/garbage`, headers },
      { name: 'errors', transport: 'http', url: `${url}/errors`, headers },
      { name: 'legacy', transport: 'sse', url: `${url}/garbage`, headers },
    ];
    const told = servers.map(async (server) => {
      const made = (await ask('/api/v1/mcp-servers', { method: 'POST', json: server }, 'admin')).json();
      const path = `/api/v1/mcp-servers/${String(made['id'])}`;
      await ask(path, {}, 'admin');
      await ask(path, { method: 'PATCH', json: { description: SPOKEN } }, 'admin');
      await ask(`${path}/reload`, { method: 'POST' }, 'admin');
    });
    await Promise.all(told);
    for (const server of ['loud', 'boxed']) {
      const tool = (name: string): [string] => [`mcp__${server}__${name}`];
      const answered = await turn([
        calls(tool('environment'), tool('processes'), tool('refuse'), tool('fail')),
        calls(tool('die')),
        calls(tool('environment')),
      ]);
      expect(results(answered, `mcp__${server}__environment`)[0]).toContain('[redacted]');
      expect(results(answered, `mcp__${server}__processes`)[0]).toContain('PATH=');
    }
    await ask('/api/v1/mcp-servers', {}, 'admin');
    await ask('/api/v1/tools');
  });

  it('a child inherits no secret and has none among its arguments', async () => {
    // In the work tree of the turn, which is published after the command only.
    const trees = join(service.dataDir, 'trees');
    const begun = (): string[] =>
      readdirSync(trees, { recursive: true, encoding: 'utf8' })
        .filter((path) => basename(path) === 'begun')
        .map((path) => join(trees, path));
    // They have died of the test before and are connected anew.
    const down = async (): Promise<boolean> => {
      const servers = (await (await service.admin('/api/v1/mcp-servers')).json()) as { name: string; status: string }[];
      return servers.some(({ name, status }) => ['loud', 'boxed'].includes(name) && status !== 'connected');
    };
    await eventually('they are connected', async () => !(await down()));
    const running = turn([calls(['run_shell', { command: 'touch begun; while [ -e begun ]; do sleep 0.1; done' }])]);
    await eventually('the command has begun', () => existsSync(trees) && begun().length > 0);
    const children = descendants(service.pid);
    // The turn is asked for twice.
    const releasing = setInterval(() => begun().forEach((path) => rmSync(path, { force: true })), 100);
    await running.finally(() => clearInterval(releasing));
    expect(children.some((child) => child.arguments.includes('touch begun'))).toBe(true);
    expect(children.some((child) => child.arguments.includes('server.mjs'))).toBe(true);
    keep('arguments of children', children.map((child) => child.arguments).join('\n'));
    const ofServers = ['env of a stdio server', 'env of a stdio server in a box'];
    const inherited = secrets.in(children.map(({ environment }) => environment).join('\n'));
    expect(inherited.filter((name) => !ofServers.includes(name))).toEqual([]);
  });
});

describe('what goes wrong', () => {
  it.each(Object.keys(FAULTS))('a model that answers with the credentials in %s', async (fault) => {
    const answer = FAULTS[fault] ?? status(500);
    echo.willAnswer(answer);
    const id = models.model({ task: [answer], context: [answer], guardrail: [answer] });
    for (const model of [id, `openai/${id}`, 'anthropic/claude']) await turn([], model);
    expect(models.calls.some((call) => call.model === id)).toBe(true);
    expect(echo.asked.length).toBeGreaterThan(0);
  });

  it('providers that cannot be used', async () => {
    for (const model of ['google/gemini', 'mistral/large', 'groq/llama', 'azure/x']) await turn([], model);
    const chat = { messages: [{ role: 'user', content: SPOKEN }], session_id: SPOKEN };
    for (const model of [null, 'google/gemini'])
      await ask('/api/v1/chat/stream', { method: 'POST', json: { ...chat, ...(model === null ? {} : { model }) } });
  });

  it('requests that hold secrets where none belong', async () => {
    const all = [key, adminSecret, stdioEnv, headerToken];
    for (const secret of all) {
      const encoded = encodeURIComponent(secret);
      for (const path of [`/api/v1/tasks?key=${encoded}`, `/api/v1/pods?limit=${encoded}`, `/nowhere?x=${encoded}`])
        await ask(path);
      await ask('/api/v1/keys/validate', { headers: { 'x-api-key': `${secret}x` } });
      await ask('/api/v1/keys', { headers: { 'x-admin-secret': `${secret}x` } });
      await ask('/api/v1/keys', { headers: { authorization: `Bearer ${secret}x` } });
      await ask('/api/v1/agents', { method: 'POST', json: { config: { name: { secret }, tools: secret } } });
      await ask('/api/v1/agents', {
        method: 'POST',
        body: `{"config": "${secret}`,
        headers: { 'content-type': 'application/json' },
      });
      await ask('/api/v1/agents', { method: 'POST', body: secret, headers: { 'content-type': 'text/plain' } });
      await ask('/api/v1/tasks', { method: 'POST', json: { agent_id: secret, messages: [{ role: secret }] } });
      await ask('/api/v1/pipeline/tasks', { method: 'POST', json: { user_input: [secret], metadata: secret } });
      for (const json of [
        { name: 'x', transport: secret, env: { TOKEN: [secret] } },
        { name: 'x', transport: 'http', url: `http://u:${encoded}@127.0.0.1/`, headers: { A: `${secret}\u0001` } },
        { name: 'x', transport: 'http', env: { TOKEN: secret }, headers: { 'no name': secret } },
        { name: 'loud', transport: 'stdio', command: 'x', env: { TOKEN: secret } },
      ])
        await ask('/api/v1/mcp-servers', { method: 'POST', json }, 'admin');
    }
  });
});

describe('what the pipeline does', () => {
  const LEAK = { tool_calls: [{ name: 'run_shell', arguments: { command: PROBES.join('; ') } }] };

  it.each(['workspace', 'nova'])('a task in the tier %s that looks for secrets', async (sandbox) => {
    const model = models.model({
      task: [
        LEAK,
        calls(['mcp__loud__environment'], ['mcp__loud__refuse'], ['read_file', { path: '../.env' }]),
        { ...PASSING.task, output: SPOKEN, explanation: SPOKEN },
      ],
    });
    const agents = { task: { allowed_tools: ['shell', 'files', 'mcp:loud'] } };
    await kept(await pipeline.createPod(model, { pod: { sandbox }, agents }));
  });

  it.each(['status 401', 'an error in the stream', 'no JSON in the stream'])(
    'a task whose model fails: %s',
    async (fault) => {
      const answer = FAULTS[fault] ?? status(500);
      await kept(await pipeline.createPod(models.model({ task: [answer] })));
      await kept(await pipeline.createPod(models.model({ guardrail: [answer], decision: [answer] })));
    },
  );

  /** Runs a task of `pod` and keeps every reading of it, the notifications among them. */
  async function kept(pod: { name: string }): Promise<void> {
    const abort = new AbortController();
    const admin = { headers: { 'x-admin-secret': adminSecret }, signal: abort.signal };
    const notified = await service.fetch('/api/v1/pipeline/notifications/stream', admin);
    const id = await pipeline.submit(pod.name, { user_input: SPOKEN });
    await pipeline.settled(id);
    const path = `/api/v1/pipeline/tasks/${id}`;
    for (const part of ['', '/findings', '/reviews', '/artifacts', '/stages', '/events?wait=false&limit=200'])
      await ask(`${path}${part}`, {}, 'admin');
    for (const operation of pipeline.api.operations)
      if (operation.method === 'GET' && !/[{]|stream|docs/.test(operation.path)) await ask(operation.path, {}, 'admin');
    const stream = await service.fetch(`${path}/events`, admin);
    let text = '';
    const read = async (response: Response): Promise<void> => {
      for await (const part of response.body ?? []) text += Buffer.from(part as Uint8Array).toString();
    };
    const ended = Promise.all([read(notified), read(stream)]).catch(() => undefined);
    await eventually('its end was told', () => /task\.finished|gate\.opened/.test(text));
    abort.abort();
    await ended;
    keep('streams', text);
  }
});

describe('services in trouble', () => {
  const wrong = secrets.make('a wrong password', (core) => `w"ro'ng ${core}`);
  const encoded = encodeURIComponent(wrong);
  const raw = wrong.replace(' ', '');

  it.each<[string, () => Settings]>([
    ['a wrong database password', () => ({ DATABASE_URL: databaseUrl(wrong) })],
    ['no such database server', () => ({ DATABASE_URL: `postgres://nova:${encoded}@nova.invalid/nova` })],
    ['a database address that is none', () => ({ DATABASE_URL: `postgres://nova:${raw}@[bad/nova` })],
    ['a database port that is none', () => ({ DATABASE_URL: `postgres://nova:${encoded}@localhost:99999999/nova` })],
    ['a socket that is missing', () => ({ DATABASE_URL: `postgres:///nova?host=/none&user=n&password=${encoded}` })],
    ['a wrong Redis password', () => ({ REDIS_URL: redisUrl(wrong) })],
    ['a Redis address that is none', () => ({ REDIS_URL: `redis://:${raw}@[bad` })],
    ['no Redis database', () => ({ REDIS_URL: `redis://:${encoded}@127.0.0.1:9/none` })],
    ['a gateway that is not there', () => ({ LLM_BASE_URL: `http://u:${encoded}@127.0.0.1:9/v1`, LLM_API_KEY: wrong })],
    ['a gateway that is no address', () => ({ LLM_BASE_URL: `http://u:${raw}@[bad`, LLM_API_KEY: wrong })],
    ['a key that is no header', () => ({ LLM_BASE_URL: models.url, LLM_API_KEY: `${wrong}\u2603` })],
    ['an admin secret that is too short', () => ({ ADMIN_SECRET: raw.slice(-15), REDIS_URL: `http://${raw}` })],
  ])('%s', async (_what, env) => {
    const troubled = await start(env(), { spawned: true });
    const complaint = ({ level, context }: LogLine): boolean => level === 'warn' && context !== 'Main';
    const complete = ({ message }: LogLine): boolean => message === 'The start is complete';
    await troubled.untilLogged((line) => complaint(line) || complete(line)).catch(() => null);
    const url = troubled.logs.map((line) => line['url']).find((each) => typeof each === 'string');
    if (url !== undefined) {
      const headers = { 'x-admin-secret': troubled.adminSecret, 'content-type': 'application/json' };
      const body = JSON.stringify({ messages: [{ role: 'user', content: 'hello' }] });
      for (const path of ['/health/ready', '/metrics', '/api/v1/keys', '/api/v1/agents', '/api/v1/pods'])
        keep('answers', await (await fetch(`${url}${path}`, { headers })).text());
      const chat = await fetch(`${url}/api/v1/chat/stream`, { method: 'POST', headers, body });
      keep('answers', await chat.text());
    }
    await troubled.kill();
    expect(troubled.output()).not.toBe('');
  });

  it('a service on the host tells a command nothing of its own, not even from the memory of its process', async () => {
    const hostKey = secrets.make('a key of a service on the host');
    const host = await start({
      ADMIN_SECRET: '',
      SHELL_SANDBOX: 'host',
      LLM_BASE_URL: models.url,
      LLM_API_KEY: hostKey,
      AWS_SECRET_ACCESS_KEY: ENVIRONMENT['AWS_SECRET_ACCESS_KEY'],
      DEFAULT_CHAT_MODEL: models.model({
        task: [
          calls(
            ['run_shell', { command: 'env; set' }],
            ['run_shell', { command: 'tr "\\0" "\\n" < /proc/$PPID/environ | grep -v ^AWS; echo read' }],
            [
              'run_shell',
              { command: `cat ${'$'}(tr "\\0" "\\n" < /proc/$PPID/environ | sed -n s/NOVA_DATA_DIR=//p)/admin-secret` },
            ],
          ),
          SPOKEN,
        ],
      }),
    });
    await host.untilLogged(({ message }) => message === 'The start is complete');
    const secret = readFileSync(join(host.dataDir, 'admin-secret'), 'utf8').trim();
    secrets.adopt('generated admin secret', secret);
    const headers = { 'x-admin-secret': secret };
    const json = { messages: [{ role: 'user', content: SPOKEN }] };
    const told = await (await host.fetch('/api/v1/chat/stream', { method: 'POST', json, headers })).text();
    keep('answers', told);
    expect(told).toContain('run_shell');
    const shown = models.calls.map(({ prompt }) => prompt).filter((prompt) => prompt.includes('UNCONFINED'));
    expect(shown.join()).toContain('LLM_API_KEY=[redacted]');
    expect(shown.join()).toMatch(/exit code 0[^]*\[redacted\]\\n/);
    await host.stop();
  });
});

describe('the search', () => {
  it('finds a secret in every form and at every place, and nothing else', () => {
    const canaries = new Canaries();
    const secret = canaries.make('one', (core) => `a"b/${core}`);
    canaries.make('two');
    for (const text of [
      secret,
      JSON.stringify({ deep: [JSON.stringify({ secret })] }),
      encodeURIComponent(secret),
      Buffer.from(secret).toString('base64'),
      Buffer.from(`x${secret}`).toString('base64url'),
      Buffer.from(`user:${secret}:more`).toString('base64'),
      Buffer.from(secret).toString('hex'),
      secret.slice(0, -12),
      secret.slice(-12),
    ]) {
      expect(canaries.in(`before ${text} after`)).toEqual(['one']);
    }
    expect(canaries.in('nothing')).toEqual([]);
  });

  it('has at least twenty secrets to look for', () => {
    expect(secrets.names.length).toBeGreaterThanOrEqual(20);
  });

  it('finds what is where it belongs', async () => {
    const rows = await execute(postgres.url('nova'), 'select env, headers from mcp_servers');
    expect(JSON.stringify(rows).match(/"sealed"/g)?.length).toBeGreaterThanOrEqual(4);
    const authorization = JSON.stringify(echo.asked.map(({ headers }) => headers));
    expect(secrets.in(authorization)).toEqual(['ANTHROPIC_API_KEY']);
  });
});

describe('no secret is', () => {
  it('on the pages that everybody may read', async () => {
    for (const path of ['/metrics', '/health', '/health/live', '/health/ready', '/openapi.json', '/docs', '/docs/'])
      keep('pages', `${path} ${await (await service.fetch(path, { headers: { 'x-api-key': key } })).text()}`);
    expect(secrets.in(surfaces.get('pages')?.join('\n') ?? '')).toEqual([]);
  });

  it('in the database', async () => {
    const text = await databaseText(postgres.url('nova'));
    expect(spoken.in(text)).toEqual(['spoken']);
    expect(secrets.in(text)).toEqual([]);
  });

  it('in Redis, nor in anything that it was told', async () => {
    const text = await watched.end();
    expect(spoken.in(text)).toEqual(['spoken']);
    expect(secrets.in(text)).toEqual([]);
  });

  it('in what models were shown', () => {
    const text =
      models.calls.map(({ prompt }) => prompt).join('\n') + JSON.stringify(echo.asked.map(({ body }) => body));
    expect(spoken.in(text)).toEqual(['spoken']);
    expect(secrets.in(text)).toEqual([]);
  });

  it('in the folders', () => {
    expect(spoken.in(folderText(service.workspace))).toEqual(['spoken']);
    expect(secrets.in(folderText(service.workspace) + folderText(service.dataDir))).toEqual([]);
  });

  it.each(['answers', 'streams'])('in the %s', (surface) => {
    const text = surfaces.get(surface)?.join('\n') ?? '';
    expect(spoken.in(text)).toEqual(['spoken']);
    expect(secrets.in(text)).toEqual([]);
  });

  it('among the arguments of children', () => {
    expect(secrets.in(surfaces.get('arguments of children')?.join('\n') ?? 'ADMIN')).toEqual([]);
  });

  it('in the logs, at the level DEBUG, up to the end of the service', async () => {
    service.signal('SIGTERM');
    await service.exited;
    const text = [...(surfaces.get('log') ?? []), service.output()].join('\n');
    expect(text).toContain('"level":"debug"');
    expect(text).toContain('[redacted]');
    expect(secrets.in(text)).toEqual([]);
  });
});
