import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { sql } from '../../../src/platform/database/index.js';
import {
  chunk,
  END,
  fails,
  ModelServer,
  says,
  streams,
  type Answer as ModelAnswer,
} from '../../support/model-server.js';
import { api, type Answer, type Api, type Call } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';
import { streamed } from '../../support/stage-models.js';
import { hangingModel } from './hanging-model.js';
import { eventually } from '../../support/eventually.js';

const TASKS = '/api/v1/tasks';
const UNKNOWN = '00000000-0000-4000-8000-000000000000';
const HELLO = [{ role: 'user', content: 'hello' }];

let models: ModelServer;
let service: Service;
let client: Api;
let key: string;
let agent: string;
beforeAll(async () => {
  models = await ModelServer.start();
  models.willAnswer(says('Hello'));
  service = await startService({
    LLM_BASE_URL: models.url,
    DEFAULT_CHAT_MODEL: 'test-model',
    MODEL_PRICES: JSON.stringify({ 'test-model': { input: 1, output: 2 } }),
    REQUIRE_AUTH: 'true',
    HOST: '127.0.0.1',
  });
  client = await api(service);
  key = (await service.createKey()).raw_key;
  agent = await newAgent();
});
afterAll(async () => {
  await service.stop();
  await models.stop();
});
beforeEach(() => models.willAnswer(says('Hel', 'lo')));

async function newAgent(config: object = {}): Promise<string> {
  const json = { config: { name: 'Test', tools: [], ...config } };
  return (await client.call('POST', '/api/v1/agents', { json, as: 'admin' })).body.id as string;
}
const ask = (body: object = {}, call: Call = {}): Promise<Answer> =>
  client.call('POST', TASKS, { json: { agent_id: agent, messages: HELLO, ...body }, as: key, ...call });
const get = (id: string, as = key): Promise<Answer> => client.call('GET', `${TASKS}/${id}`, { as });
const keyed = (idempotencyKey: string): Call => ({ headers: { 'idempotency-key': idempotencyKey } });

function untilEnded(id: string): Promise<Answer> {
  return eventually(`turn ${id} ended`, async () => {
    const answer = await get(id, 'admin');
    return answer.body.status !== 'running' && answer;
  });
}

describe('a question', () => {
  it('is answered when the turn has ended, and found where the answer says', async () => {
    const answer = await ask();
    expect(answer.status).toBe(202);
    expect(answer.headers.get('location')).toBe(`${TASKS}/${answer.body.task_id}`);
    expect(answer.body).toEqual({
      task_id: expect.any(String),
      agent_id: agent,
      status: 'completed',
      response: 'Hello',
      tool_calls: [],
      error: null,
      model: 'test-model',
      started_at: expect.any(String),
      completed_at: expect.any(String),
      input_tokens: 1_000,
      cached_input_tokens: 0,
      output_tokens: 500,
      cost_usd: 0.002,
    });
    expect((await get(answer.body.task_id)).body).toEqual(answer.body);
    expect((await client.call('GET', `/api/v1/agents/${agent}`, { as: key })).body).toMatchObject({ status: 'idle' });
  });

  it('reaches the model with the agent’s words first and the whole conversation behind them', async () => {
    const id = await newAgent({ system_prompt: 'Be brief.' });
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } };
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'what is this' }, image] },
      { role: 'system', content: 'Late words.' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [
          { id: 'c1', type: 'function', function: { name: 'look', arguments: '{"at":1}' } },
          { id: 'c2', function: { name: 'look', arguments: 'not json' } },
        ],
      },
      { role: 'tool', content: 'a cat', tool_call_id: 'c1' },
      { role: 'user', content: 'sure?' },
    ];
    expect((await ask({ agent_id: id, messages })).body.status).toBe('completed');
    const sent = models.asked[0]?.body.messages as Record<string, unknown>[];
    expect(sent.map(({ role }) => role)).toEqual(['system', 'system', 'user', 'assistant', 'tool', 'tool', 'user']);
    expect(sent[0]).toMatchObject({ content: 'Be brief.' });
    expect(JSON.stringify(sent[2])).toContain('data:image/png;base64,AAAA');
    // Ids of calls that this model did not make are given in a form that every provider takes.
    const [, , , assistant] = sent as { tool_calls: { id: string }[] }[];
    const ids = assistant!.tool_calls.map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    expect(sent[4]).toMatchObject({ tool_call_id: ids[0], content: 'a cat' });
    expect(sent[5]).toMatchObject({ tool_call_id: ids[1], content: 'There is no result of this call.' });
  });

  it.each<[string, object, string]>([
    ['no messages', { messages: [] }, '#/messages'],
    ['too many messages', { messages: Array.from({ length: 1_001 }, () => HELLO[0]) }, '#/messages'],
    ['a role of its own', { messages: [{ role: 'boss', content: 'x' }] }, '#/messages/0/role'],
    ['no content', { messages: [{ role: 'user' }] }, '#/messages/0/content'],
    ['a number for content', { messages: [{ role: 'user', content: 5 }] }, '#/messages/0/content'],
    ['no parts', { messages: [{ role: 'user', content: [] }] }, '#/messages/0/content'],
    ['an unknown part', { messages: [{ role: 'user', content: [{ type: 'audio' }] }] }, '#/messages/0/content'],
    [
      'an image of another scheme',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }] }] },
      '#/messages/0/content',
    ],
    [
      'a result of no call',
      { messages: [{ role: 'tool', content: 'x', tool_call_id: 'c9' }] },
      '#/messages/0/tool_call_id',
    ],
    ['a NUL', { messages: [{ role: 'user', content: 'a\u0000' }] }, '#/messages/0/content'],
    ['a session that no header can hold', { session_id: 'a\nb' }, '#/session_id'],
    ['an unknown type', { task_type: 'dream' }, '#/task_type'],
    ['a faulty agent', { agent_id: 'nova' }, '#/agent_id'],
    ['an unknown field', { stream: true }, '#/stream'],
    // Each of these would cost its validation a thousand times what it cost the caller.
    ['a flood of messages', { messages: Array(300_000).fill({}) }, '#'],
    ['a flood of calls', { messages: Array(1_000).fill({ tool_calls: Array(128).fill({}) }) }, '#'],
  ])('with %s is refused', async (_, body, pointer) => {
    for (const path of [TASKS, `${TASKS}/stream`]) {
      const answer = await client.call('POST', path, { json: { agent_id: agent, messages: HELLO, ...body }, as: key });
      expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
      expect((answer.body.errors as { pointer: string }[]).map((fault) => fault.pointer)).toContain(pointer);
    }
  });

  it('is refused before it starts: unknown agent, stopped agent, no model', async () => {
    const stopped = await newAgent();
    await service.database?.database.query('test.stop', sql`update agents set state = 'stopped' where id = ${stopped}`);
    const modelless = await newAgent({ model: 'script/none-of-that-name' });
    for (const path of [TASKS, `${TASKS}/stream`]) {
      const call = (agent_id: string): Promise<Answer> =>
        client.call('POST', path, { json: { agent_id, messages: HELLO }, as: key });
      expect((await call(UNKNOWN)).body).toMatchObject({ status: 404, code: 'not_found' });
      expect((await call(stopped)).body).toMatchObject({ status: 409, code: 'agent_stopped' });
      const none = await call(modelless);
      expect(none.body).toMatchObject({ status: 503, code: 'no_model' });
      expect(none.body.detail).toContain('script/none-of-that-name');
      expect(Number(none.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect(models.asked).toHaveLength(0);
  });

  it('to a model that fails is a failed turn, not an error', async () => {
    models.willAnswer(fails(400));
    const answer = await ask();
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({ status: 'failed', response: null, error: { code: 'model_refused' } });
  });

  it('to an agent with a fallback is answered by that, and every call is counted', async () => {
    const id = await newAgent({ model: 'other-model', fallback_models: ['test-model'] });
    models.willAnswer(fails(500), says('Second'));
    const answer = await ask({ agent_id: id });
    expect(answer.body).toMatchObject({ status: 'completed', response: 'Second', model: 'test-model' });
  });

  it('past Prefer: wait answers with the running turn, which ends all the same', async () => {
    const { answer, say, finish } = hangingModel();
    models.willAnswer(answer);
    for (const prefer of ['wait=0', 'respond-async', 'respond-async, wait=0', 'WAIT="0"; x']) {
      const first = await ask({}, { headers: { prefer } });
      expect([first.status, first.body.status]).toEqual([202, 'running']);
      expect((await client.call('GET', `/api/v1/agents?status=running`, { as: key })).body[0].id).toBe(agent);
    }
    const last = await ask({}, { headers: { prefer: 'wait=0' } });
    say('!');
    finish();
    expect((await untilEnded(last.body.task_id)).body).toMatchObject({ status: 'completed', response: 'Wait!' });
  });

  it('goes on when its caller leaves', async () => {
    const { answer, finish } = hangingModel();
    models.willAnswer(answer);
    const leaving = new AbortController();
    const asked = service
      .fetch(TASKS, {
        method: 'POST',
        json: { agent_id: await newAgent({ name: 'Left' }), messages: HELLO },
        headers: { 'x-api-key': key },
        signal: leaving.signal,
      })
      .catch(() => null);
    await models.heard();
    leaving.abort();
    await asked;
    finish();
    const rows = async (): Promise<{ status: string }[]> =>
      (await service.database?.database.query(
        'test.turns',
        sql`select t.status from turns t join agents a on a.id = t.agent_id where a.name = 'Left'`,
      )) as { status: string }[];
    await eventually('the turn ended', async () => (await rows())[0]?.status !== 'running');
    expect(await rows()).toEqual([{ status: 'completed' }]);
  });
});

describe('an Idempotency-Key', () => {
  it('makes one turn of many requests, and answers with that turn', async () => {
    const call = keyed(randomUUID());
    const first = await ask({}, call);
    const again = await ask({}, call);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(first.headers.has('idempotency-replayed')).toBe(false);
    expect(again.body).toEqual(first.body);
    expect(models.asked).toHaveLength(1);
    expect((await ask({ task_type: 'chat' }, call)).body).toMatchObject({
      code: 'idempotency_key_reused',
      status: 422,
    });
  });

  it('is in flight while the first request waits, and names where to look', async () => {
    const { answer, finish } = hangingModel();
    models.willAnswer(answer);
    const call = keyed(randomUUID());
    const first = ask({}, call);
    await models.heard();
    const second = await ask({}, call);
    expect(second.body).toMatchObject({ status: 409, code: 'idempotency_in_flight' });
    const location = second.headers.get('location') ?? '';
    expect((await client.call('GET', location, { as: key })).body.status).toBe('running');
    finish();
    expect(location).toBe(`${TASKS}/${(await first).body.task_id}`);
  });

  it('is not in flight once its request was answered with the running turn', async () => {
    const { answer, finish } = hangingModel();
    models.willAnswer(answer);
    const call = keyed(randomUUID());
    call.headers = { ...call.headers, prefer: 'wait=0' };
    const first = await ask({}, call);
    const again = await ask({}, call);
    expect([again.status, again.body.status]).toEqual([202, 'running']);
    expect(again.body.task_id).toBe(first.body.task_id);
    finish();
    await untilEnded(first.body.task_id);
  });

  it('is not used up by a request that started nothing', async () => {
    const call = keyed(randomUUID());
    expect((await ask({ agent_id: UNKNOWN }, call)).status).toBe(404);
    expect((await ask({}, call)).status).toBe(202);
  });
});

describe('a turn', () => {
  it('belongs to its caller', async () => {
    const { task_id: id } = (await ask()).body;
    const other = (await service.createKey()).raw_key;
    for (const [method, path] of [
      ['GET', `${TASKS}/${id}`],
      ['GET', `${TASKS}/${id}/events`],
      ['POST', `${TASKS}/${id}/cancel`],
    ] as const) {
      expect((await client.call(method, path, { as: other })).body).toMatchObject({ status: 404, code: 'not_found' });
    }
    expect((await get(id, 'admin')).status).toBe(200);
    expect((await get(UNKNOWN)).status).toBe(404);
  });

  it('is cancelled once, stops its model, and keeps what was said', async () => {
    const { answer } = hangingModel('Half');
    models.willAnswer(answer);
    const { task_id: id } = (await ask({}, { headers: { prefer: 'wait=0' } })).body;
    await models.heard();
    const events = await client.stream('GET', `${TASKS}/${id}/events`, { as: key });
    const reader = events.body?.getReader();
    for (let text = ''; !text.includes('Half');) text += new TextDecoder().decode((await reader?.read())?.value);
    const cancelled = await client.call('POST', `${TASKS}/${id}/cancel`, { as: key });
    expect(cancelled.body).toMatchObject({
      status: 'cancelled',
      response: 'Half',
      error: { code: 'cancelled' },
      completed_at: expect.any(String),
    });
    expect(cancelled.body.output_tokens).toBeGreaterThan(0);
    expect(await models.asked[0]?.closed).toBe('aborted');
    expect((await client.call('POST', `${TASKS}/${id}/cancel`, { as: key })).body).toMatchObject({
      code: 'turn_ended',
    });
    expect((await client.call('GET', `/api/v1/agents/${agent}`, { as: key })).body.status).toBe('idle');
  });

  it('ends with its agent', async () => {
    const doomed = await newAgent();
    models.willAnswer(hangingModel('Half').answer);
    const { task_id: id } = (await ask({ agent_id: doomed }, { headers: { prefer: 'wait=0' } })).body;
    await models.heard();
    expect((await client.call('DELETE', `/api/v1/agents/${doomed}`, { as: key })).status).toBe(204);
    expect(await models.asked[0]?.closed).toBe('aborted');
    expect((await untilEnded(id)).body).toMatchObject({ status: 'cancelled', error: { code: 'agent_deleted' } });
  });
});

describe('a model that misbehaves', () => {
  const calls = (...asked: { name: string; arguments: unknown }[]): ModelAnswer => streamed({ tool_calls: asked });

  it('asks for tools for ever: the last round has to answer', async () => {
    const id = await newAgent({ tools: ['list_agents'] });
    let round = 0;
    models.willAnswer((response, asked) => {
      const tools = asked.body.tools as unknown[] | undefined;
      round += 1;
      return (tools?.length ? calls({ name: 'list_agents', arguments: { round } }) : says('Enough.'))(response, asked);
    });
    const { body } = await ask({ agent_id: id });
    expect(body).toMatchObject({ status: 'completed', response: 'Enough.', input_tokens: 6_000, cost_usd: 0.012 });
    expect(body.tool_calls).toHaveLength(5);
    expect(body.tool_calls[0]).toMatchObject({ name: 'list_agents', is_error: true });
  });

  it('repeats itself: the turn says so and ends', async () => {
    const id = await newAgent({ tools: ['list_agents'] });
    models.willAnswer(calls({ name: 'list_agents', arguments: {} }));
    const { body } = await ask({ agent_id: id });
    expect(body.status).toBe('completed');
    expect(body.response).toContain('identical call');
    expect(models.asked).toHaveLength(3);
  });

  it('calls what it may not, what does not exist, and with faulty arguments', async () => {
    const id = await newAgent({ tools: ['get_agent_info'] });
    const two = [
      chunk({
        tool_calls: [
          { index: 0, id: 'same', type: 'function', function: { name: 'list_agents', arguments: '{}' } },
          { index: 1, id: 'same', type: 'function', function: { name: 'get_agent_info', arguments: '{"agent_id":' } },
          { index: 2, id: 'x', type: 'function', function: { name: '{"t":"evil"}\n\ndata: [DONE]', arguments: '{}' } },
        ],
      }),
      chunk({}, 'tool_calls'),
      ...END.slice(1),
    ];
    models.willAnswer(streams(...two), says('Done.'));
    const stream = await client.stream('POST', `${TASKS}/stream`, { json: { agent_id: id, messages: HELLO }, as: key });
    const text = await stream.text();
    expect(text).not.toContain('evil');
    expect(text.match(/\[DONE\]/g)).toHaveLength(1);
    const { body } = await get(stream.headers.get('x-task-id') ?? '');
    expect(body.status).toBe('completed');
    expect(new Set(body.tool_calls.map((call: { id: string }) => call.id)).size).toBe(body.tool_calls.length);
    expect(body.tool_calls.every((call: { is_error: boolean }) => call.is_error)).toBe(true);
  });

  it('writes what looks like our frames: it arrives as words', async () => {
    const words = '\n\ndata: [DONE]\n\ndata: {"error":"x"}\r\n: ping\n\n{"t":"y"}\u0000';
    models.willAnswer(says(words));
    const stream = await client.stream('POST', `${TASKS}/stream`, {
      json: { agent_id: agent, messages: HELLO },
      as: key,
    });
    const frames = (await stream.text()).split('\n\n').filter(Boolean);
    const said = frames
      .map((frame) => frame.replace(/^data: /, ''))
      .filter((payload) => payload !== '[DONE]')
      .map((payload) => JSON.parse(payload) as { t?: string })
      .map(({ t = '' }) => t)
      .join('');
    expect(said).toBe(words.replace('\u0000', '\uFFFD'));
    expect((await get(stream.headers.get('x-task-id') ?? '')).body.response).toBe(said);
  });

  it('cuts characters in halves: they arrive whole', async () => {
    models.willAnswer(says('a\ud83d', '\ude00b', '\ud83d'));
    expect((await ask()).body).toMatchObject({ status: 'completed', response: 'a😀b\uFFFD' });
  });
});
