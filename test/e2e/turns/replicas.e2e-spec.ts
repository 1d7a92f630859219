/** @needs redis-server */
import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { setTimeout as delay } from 'node:timers/promises';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { ModelServer, says } from '../../support/model-server.js';
import { api, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';
import { startRedis, type TestRedis } from '../../support/servers/index.js';
import { hangingModel } from './hanging-model.js';
import { StreamReader, told } from './stream-reader.js';
import { eventually } from '../../support/eventually.js';

const TASKS = '/api/v1/tasks';
const CHAT = '/api/v1/chat/stream';
const HELLO = [{ role: 'user', content: 'hello' }];

interface Replica {
  service: Service;
  client: Api;
}

let models: ModelServer;
let database: TestDatabase;
let redis: TestRedis;
let one: Replica;
let two: Replica;
let agent: string;
beforeAll(async () => {
  models = await ModelServer.start();
  models.willAnswer(says('Hello'));
  database = await createTestDatabase();
  redis = await startRedis();
  [one, two] = (await Promise.all([start(), start()])) as [Replica, Replica];
  const json = { config: { name: 'Test', tools: [] } };
  agent = (await one.client.call('POST', '/api/v1/agents', { json })).body.id as string;
});
afterAll(async () => {
  await Promise.all([one.service.stop(), two.service.stop()]);
  await redis.stop();
  await models.stop();
  await database.drop();
});
beforeEach(() => models.willAnswer(says('Hello')));

async function start(): Promise<Replica> {
  const service = await startService({
    LLM_BASE_URL: models.url,
    DEFAULT_CHAT_MODEL: 'test-model',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    ADMIN_SECRET: 'one-secret-for-all-replicas',
    TASK_HEARTBEAT_INTERVAL_SECONDS: '0.5',
    TASK_STALE_SECONDS: '8',
    REAPER_INTERVAL_SECONDS: '0.2',
  });
  return { service, client: await api(service) };
}

const stream = ({ client }: Replica, headers: Record<string, string> = {}): Promise<Response> =>
  client.stream('POST', `${TASKS}/stream`, { json: { agent_id: agent, messages: HELLO }, headers });
const events = ({ client }: Replica, id: string, lastId = 0): Promise<Response> =>
  client.stream('GET', `${TASKS}/${id}/events`, { headers: { 'last-event-id': String(lastId) } });
const idOf = (response: Response): string => response.headers.get('x-task-id') ?? '';
const turn = async ({ client }: Replica, id: string): Promise<Record<string, unknown>> =>
  (await client.call('GET', `${TASKS}/${id}`)).body as Record<string, unknown>;

it('replicas have one canonical agent, and see each other’s', async () => {
  for (const { client } of [one, two]) {
    const agents = (await client.call('GET', '/api/v1/agents')).body as { id: string; config: { name: string } }[];
    expect(agents.map(({ config }) => config.name).sort()).toEqual(['Nova', 'Test']);
  }
});

it('agents survive the loss of Redis’ contents, and are in Redis again', async () => {
  const stranger = new Redis(redis.url);
  expect(JSON.parse((await stranger.get(`nova:agent:${agent}`)) ?? '')).toMatchObject({
    id: agent,
    config: { name: 'Test' },
  });
  await stranger.flushall();
  const agents = (await two.client.call('GET', '/api/v1/agents')).body as unknown[];
  expect(agents).toHaveLength(2);
  // Lists read PostgreSQL; one that is asked for is copied again.
  expect((await two.client.call('GET', `/api/v1/agents/${agent}`)).body.config.name).toBe('Test');
  expect(await stranger.exists(`nova:agent:${agent}`)).toBe(1);
  await stranger.set(`nova:agent:${agent}`, '{"id":"somebody else"}');
  expect((await one.client.call('GET', `/api/v1/agents/${agent}`)).body.config.name).toBe('Test');
  expect((await one.client.call('GET', '/api/v1/agents')).body).toHaveLength(2);
  stranger.disconnect();
});

it('a change on one replica is what the other one shows', async () => {
  for (const name of ['Renamed', 'Test']) {
    const json = { name };
    await one.client.call('PATCH', `/api/v1/agents/${agent}/config`, { json, as: 'admin' });
    expect((await two.client.call('GET', `/api/v1/agents/${agent}`)).body.config.name).toBe(name);
  }
});

it('events are read on another replica as on the turn’s own, and resumed anywhere', async () => {
  const model = hangingModel('0');
  models.willAnswer(model.answer);
  const started = await stream(one, { prefer: 'respond-async' });
  const far = new StreamReader(await events(two, idOf(started)));
  let all = told((await far.until('"0"}\n\n')).replace(/[^]*?(?=id: 1\n)/, ''));
  await far.leave();
  for (let n = 1; n <= 6; n += 1) {
    model.say(`,${n}`);
    const reader = new StreamReader(await events(n % 2 ? one : two, idOf(started), all.ids.at(-1)));
    const text = await reader.until(`,${n}"}\n\n`);
    await reader.leave();
    all = told(text.slice(0, text.lastIndexOf('\n\n') + 2), all);
  }
  const last = new StreamReader(await events(two, idOf(started), all.ids.at(-1)));
  model.say('.');
  await last.until('"."');
  model.finish();
  all = told(await last.all(), all);
  expect(all).toMatchObject({ text: '0,1,2,3,4,5,6.', done: true, resets: 0 });
  expect(all.ids).toEqual(all.ids.map((_, index) => index + 1));
  expect(told(await (await events(two, idOf(started))).text())).toMatchObject({
    text: all.text,
    resets: 0,
    done: true,
  });
});

it('a reader on another replica who comes late gets all words in one event, however many, and then what follows', async () => {
  const model = hangingModel('0');
  models.willAnswer(model.answer);
  const started = await stream(one, { prefer: 'respond-async' });
  const near = new StreamReader(started);
  for (let n = 0; n < 30; n += 1) model.say('x'.repeat(100_000));
  model.say('|');
  await near.until('"|"}');
  const far = new StreamReader(await events(two, idOf(started)));
  await far.until('|');
  expect(told(far.text.slice(0, far.text.lastIndexOf('\n\n') + 2)).payloads[0]).toEqual({ reset: true });
  model.say('.');
  await far.until('"."');
  model.finish();
  const all = told(await far.all());
  expect(all).toMatchObject({ resets: 1, done: true });
  expect(all.text).toBe(`0${'x'.repeat(3_000_000)}|.`);
  expect(all.ids.slice(1)).toEqual(all.ids.slice(1).map((_, index) => (all.ids[1] ?? 0) + index));
  await near.leave();
});

it('the last reader of a turn may be on another replica', async () => {
  models.willAnswer(hangingModel('Half').answer);
  const started = await stream(one);
  const near = new StreamReader(started);
  await near.until('Half');
  const far = new StreamReader(await events(two, idOf(started)));
  await far.until('Half');
  await near.leave();
  expect(await Promise.race([models.asked[0]?.closed, delay(1_500)])).toBeUndefined();
  await far.leave();
  expect(await models.asked[0]?.closed).toBe('aborted');
  await eventually(
    "(turn(two, idOf(started))).status === 'cancelled'",
    async () => (await turn(two, idOf(started))).status === 'cancelled',
  );
  expect(await turn(two, idOf(started))).toMatchObject({ response: 'Half' });
});

it('a cancel on another replica stops the turn, and its stream ends with a last frame', async () => {
  models.willAnswer(hangingModel('Half').answer);
  const started = await stream(one);
  const reader = new StreamReader(started);
  await reader.until('Half');
  const cancelled = await two.client.call('POST', `${TASKS}/${idOf(started)}/cancel`);
  expect(cancelled.body.status).toBe('cancelled');
  expect(await models.asked[0]?.closed).toBe('aborted');
  expect(await reader.all()).toMatch(/data: \{"error":"The turn was cancelled."\}\n\ndata: \[DONE\]\n\n$/);
  await eventually(
    "(turn(two, idOf(started))).response === 'Half'",
    async () => (await turn(two, idOf(started))).response === 'Half',
  );
});

it('a chat session answers one message at a time on all replicas', async () => {
  const model = hangingModel('Half');
  models.willAnswer(model.answer);
  const json = { messages: HELLO, session_id: 'shared' };
  const reader = new StreamReader(await one.client.stream('POST', CHAT, { json, as: 'admin' }));
  await reader.until('Half');
  expect((await two.client.call('POST', CHAT, { json, as: 'admin' })).body).toMatchObject({ code: 'session_busy' });
  model.finish();
  await reader.all();
  models.willAnswer(says('Hello'));
  const next = await two.client.stream('POST', CHAT, { json, as: 'admin' });
  expect(told(await next.text()).text).toBe('Hello');
});

it('turns of a dead replica fail and free their session; those of a living one are left alone', async () => {
  const doomed = await start();
  const living = hangingModel('Alive');
  models.willAnswer(living.answer);
  const alive = await stream(one, { prefer: 'respond-async' });
  await new StreamReader(alive).until('Alive');
  models.willAnswer(hangingModel('Half').answer);
  const json = { messages: HELLO, session_id: 'held' };
  const dead = await doomed.client.stream('POST', CHAT, { json, as: 'admin' });
  await new StreamReader(dead).until('Half');
  const far = new StreamReader(await two.client.stream('GET', `${TASKS}/${idOf(dead)}/events`, { as: 'admin' }));
  await far.until('Half');
  await doomed.service.kill();
  expect(await far.all()).toMatch(/data: \{"error":"[^"]+"\}\n\nid: \d+\ndata: \[DONE\]\n\n$/);
  const { body } = await two.client.call('GET', `${TASKS}/${idOf(dead)}`, { as: 'admin' });
  expect(body).toMatchObject({ status: 'failed', error: { code: 'interrupted' } });
  expect(await turn(two, idOf(alive))).toMatchObject({ status: 'running' });
  living.finish();
  await eventually(
    "(turn(two, idOf(alive))).status === 'completed'",
    async () => (await turn(two, idOf(alive))).status === 'completed',
  );
  models.willAnswer(says('Hello'));
  expect(told(await (await two.client.stream('POST', CHAT, { json, as: 'admin' })).text()).text).toBe('Hello');
});

it('streams survive a lost Redis, and readers elsewhere get the words all the same', async () => {
  const model = hangingModel('Half');
  models.willAnswer(model.answer);
  const started = await stream(one);
  const near = new StreamReader(started);
  await near.until('Half');
  const far = new StreamReader(await events(two, idOf(started)));
  await far.until('Half');
  await redis.kill();
  model.say(' and more');
  await near.until(' and more');
  await far.until(' and more');
  model.say('.');
  model.finish();
  expect(told(await near.all())).toMatchObject({ text: 'Half and more.', done: true });
  expect(told(await far.all())).toMatchObject({ text: 'Half and more.', done: true });
  // Everything else works too.
  models.willAnswer(says('Hello'));
  const json = { agent_id: agent, messages: HELLO };
  expect((await two.client.call('POST', TASKS, { json })).body.response).toBe('Hello');
  expect((await one.client.call('GET', '/api/v1/agents')).body).toHaveLength(2);
  const chat = await one.client.stream('POST', CHAT, { json: { messages: HELLO, session_id: 's' }, as: 'admin' });
  expect(told(await chat.text()).text).toBe('Hello');
});
