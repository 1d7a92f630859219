import { afterAll, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { sql } from '../../../src/platform/database/index.js';
import { ModelServer, says } from '../../support/model-server.js';
import { api, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';
import { hangingModel } from '../turns/hanging-model.js';
import { StreamReader, told } from '../turns/stream-reader.js';

const CHAT = '/api/v1/chat/stream';
const HELLO = [{ role: 'user', content: 'hello' }];

let models: ModelServer;
let service: Service;
let client: Api;
beforeAll(async () => {
  models = await ModelServer.start();
  models.willAnswer(says('Hello'));
  service = await startService({
    LLM_BASE_URL: models.url,
    DEFAULT_CHAT_MODEL: 'test-model',
    ALLOWED_MODELS: 'other-model',
  });
  client = await api(service);
});
afterAll(async () => {
  await service.stop();
  await models.stop();
});
beforeEach(() => models.willAnswer(says('Hello')));

const chat = (body: object = {}): Promise<Response> =>
  client.stream('POST', CHAT, { json: { messages: HELLO, ...body }, as: 'admin' });

it('is the admin’s alone', async () => {
  const key = (await service.createKey()).raw_key;
  expect((await client.call('POST', CHAT, { json: { messages: HELLO } })).status).toBe(401);
  expect((await client.call('POST', CHAT, { json: { messages: HELLO }, as: key })).status).toBe(403);
  expect(models.asked).toHaveLength(0);
});

it('is answered by the canonical agent, in a session', async () => {
  const response = await chat({ session_id: 'abc', metadata: { a: 1 } });
  expect(response.headers.get('x-session-id')).toBe('abc');
  const text = await response.text();
  expect(text).toMatch(/^data: \{"status":\{"step":"model","state":"running"\}\}\n\n/);
  expect(told(text)).toMatchObject({ text: 'Hello', done: true });
  expect(text.split('\n').every((line) => line === '' || line.startsWith('data: '))).toBe(true);
  const [nova] = (await client.call('GET', '/api/v1/agents?name=Nova')).body as { id: string; config: object }[];
  const turn = await client.call('GET', `/api/v1/tasks/${response.headers.get('x-task-id')}`, { as: 'admin' });
  expect(turn.body).toMatchObject({ agent_id: nova?.id, status: 'completed', response: 'Hello', model: 'test-model' });
  const asked = models.asked[0]?.body as { messages: { role: string; content: string }[] };
  expect(asked.messages[0]).toMatchObject({
    role: 'system',
    content: expect.stringContaining('You are Nova') as unknown,
  });
  const nameless = await chat();
  expect(nameless.headers.get('x-session-id')).toMatch(/^[0-9a-f-]{36}$/);
  await nameless.text();
});

it('may ask another model, of those that are allowed', async () => {
  expect(told(await (await chat({ model: 'other-model' })).text()).done).toBe(true);
  expect(models.asked[0]?.body.model).toBe('other-model');
  const refused = await client.call('POST', CHAT, { json: { messages: HELLO, model: 'third' }, as: 'admin' });
  expect(refused.body).toMatchObject({ status: 422, code: 'model_not_allowed' });
});

it('answers one message at a time in a session, and others beside it', async () => {
  const model = hangingModel('Half');
  models.willAnswer(model.answer);
  const first = new StreamReader(await chat({ session_id: 'one' }));
  await first.until('Half');
  const json = { messages: HELLO, session_id: 'one' };
  const busy = await client.call('POST', CHAT, { json, as: 'admin' });
  expect(busy.body).toMatchObject({ status: 409, code: 'session_busy' });
  const other = new StreamReader(await chat({ session_id: 'two' }));
  await other.until('Half');
  model.finish();
  await Promise.all([first.all(), other.all()]);
  models.willAnswer(says('Hello'));
  expect(told(await (await chat({ session_id: 'one' })).text()).text).toBe('Hello');
});

it('is free again a moment after its reader has gone', async () => {
  models.willAnswer(hangingModel('Half').answer);
  const reader = new StreamReader(await chat({ session_id: 'left' }));
  await reader.until('Half');
  await reader.leave();
  expect(await models.asked[0]?.closed).toBe('aborted');
  models.willAnswer(says('Hello'));
  const json = { messages: HELLO, session_id: 'left' };
  let response = await client.stream('POST', CHAT, { json, as: 'admin' });
  for (; response.status === 409; response = await client.stream('POST', CHAT, { json, as: 'admin' })) {
    await response.text();
  }
  expect(told(await response.text()).text).toBe('Hello');
});

it.each<[string, object, string]>([
  ['no messages', { messages: [] }, '#/messages'],
  ['an agent of its own choice', { agent_id: 'x' }, '#/agent_id'],
  ['an empty model', { model: '' }, '#/model'],
])('with %s is refused', async (_, body, pointer) => {
  const answer = await client.call('POST', CHAT, { json: { messages: HELLO, ...body }, as: 'admin' });
  expect(answer.status).toBe(422);
  expect((answer.body.errors as { pointer: string }[]).map((fault) => fault.pointer)).toContain(pointer);
});

it('is refused while no model is there', async () => {
  const [nova] = (await client.call('GET', '/api/v1/agents?name=Nova')).body as { id: string }[];
  const path = `/api/v1/agents/${nova?.id}/config`;
  await client.call('PATCH', path, { json: { model: 'script/nothing' }, as: 'admin' });
  const refused = await client.call('POST', CHAT, { json: { messages: HELLO }, as: 'admin' });
  expect(refused.body).toMatchObject({ status: 503, code: 'no_model' });
  await client.call('PATCH', path, { json: { model: null }, as: 'admin' });
});

it('is refused while the agent is not made yet', async () => {
  await service.database?.database.query('test.orphan', sql`update agents set is_canonical = false`);
  const refused = await client.call('POST', CHAT, { json: { messages: HELLO }, as: 'admin' });
  expect(refused.status).toBe(503);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
});
