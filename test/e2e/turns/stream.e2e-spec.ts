import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from '../../../src/platform/database/index.js';
import { eventually } from '../../support/eventually.js';
import { chunk, END, fails, ModelServer, says, streams } from '../../support/model-server.js';
import { api, type Answer, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';
import { streamed } from '../../support/stage-models.js';
import { hangingModel } from './hanging-model.js';
import { StreamReader, told, type Told } from './stream-reader.js';

const TASKS = '/api/v1/tasks';
const FAILED_END = /data: \{"error":"(?:[^"\\]|\\.)+"\}\n\ndata: \[DONE\]\n\n$/;
const HELLO = [{ role: 'user', content: 'hello' }];

let models: ModelServer;
let service: Service;
let client: Api;
let agent: string;
beforeAll(async () => {
  models = await ModelServer.start();
  models.willAnswer(says('Hello'));
  service = await startService({ LLM_BASE_URL: models.url, DEFAULT_CHAT_MODEL: 'test-model' });
  client = await api(service);
  agent = await newAgent();
});
afterAll(async () => {
  await service.stop();
  await models.stop();
});
beforeEach(() => models.willAnswer(says('Hel', 'lo')));

async function newAgent(config: object = {}): Promise<string> {
  const json = { config: { name: 'Test', tools: [], ...config } };
  return (await client.call('POST', '/api/v1/agents', { json })).body.id as string;
}
const stream = (headers: Record<string, string> = {}, body: object = {}): Promise<Response> =>
  client.stream('POST', `${TASKS}/stream`, { json: { agent_id: agent, messages: HELLO, ...body }, headers });
const events = (id: string, lastId?: number): Promise<Response> =>
  client.stream('GET', `${TASKS}/${id}/events`, {
    headers: lastId === undefined ? {} : { 'last-event-id': String(lastId) },
  });
const idOf = (response: Response): string => response.headers.get('x-task-id') ?? '';

function untilEnded(id: string): Promise<Answer> {
  return eventually(`turn ${id} ended`, async () => {
    const answer = await client.call('GET', `${TASKS}/${id}`);
    return answer.body.status !== 'running' && answer;
  });
}

const untilIdle = (id: string): Promise<unknown> =>
  eventually(
    `agent ${id} is idle`,
    async () => (await client.call('GET', `/api/v1/agents/${id}`)).body.status !== 'running',
  );

describe('the stream of a turn', () => {
  it('is to the byte what Nova’s parsers take', async () => {
    const response = await stream({}, { session_id: 'my-session' });
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-session-id': 'my-session',
      'x-task-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const text = (await response.text()).replace(/"elapsed_ms":\d+/g, '"elapsed_ms":0');
    expect(text).toBe(
      [
        'data: {"status":{"step":"model","state":"running"}}',
        'data: {"status":{"step":"model","state":"done","elapsed_ms":0}}',
        'data: {"status":{"step":"generating","state":"running"}}',
        'data: {"t":"Hel"}',
        'data: {"t":"lo"}',
        'data: {"status":{"step":"generating","state":"done","elapsed_ms":0}}',
        'data: [DONE]',
        '',
      ].join('\n\n'),
    );
    const { body } = await client.call('GET', `${TASKS}/${idOf(response)}`);
    expect(body).toMatchObject({ status: 'completed', response: 'Hello', input_tokens: 1_000, output_tokens: 500 });
  });

  it('names its tool calls after the tools, and makes up a session', async () => {
    const id = await newAgent({ tools: ['platform'] });
    models.willAnswer(streamed({ tool_calls: [{ name: 'list_agents', arguments: {} }] }), says('Two.'));
    const response = await stream({}, { agent_id: id });
    expect(response.headers.get('x-session-id')).toMatch(/^[0-9a-f-]{36}$/);
    const { payloads } = told(await response.text());
    const steps = payloads.flatMap((payload) => (payload as { status?: { step: string } }).status?.step ?? []);
    expect(steps).toEqual([
      'model',
      'model',
      'list_agents',
      'list_agents',
      'model',
      'model',
      'generating',
      'generating',
    ]);
    const { body } = await client.call('GET', `${TASKS}/${idOf(response)}`);
    expect(body.tool_calls).toEqual([
      {
        id: 'call_1',
        name: 'list_agents',
        arguments: {},
        result: expect.stringContaining('Nova') as unknown,
        is_error: false,
        duration_ms: expect.any(Number) as unknown,
      },
    ]);
  });

  it('of a model that fails ends with an error and [DONE]', async () => {
    models.willAnswer(streams(chunk({ content: 'Hal' }), chunk({ content: 'f' }), 'data: nonsense\n\n'));
    const response = await stream();
    const text = await response.text();
    expect(text).toMatch(FAILED_END);
    expect((await client.call('GET', `${TASKS}/${idOf(response)}`)).body).toMatchObject({
      status: 'failed',
      response: 'Half',
    });
    models.willAnswer(fails(400));
    expect(await (await stream()).text()).toMatch(FAILED_END);
  });

  it('of a model that says nothing is whole', async () => {
    models.willAnswer(streams(...END));
    const response = await stream();
    expect(told(await response.text())).toMatchObject({ text: '', done: true });
    expect((await client.call('GET', `${TASKS}/${idOf(response)}`)).body).toMatchObject({ response: '' });
  });
});

describe('a reader who leaves', () => {
  it('as the last one cancels the turn, whose words are kept', async () => {
    models.willAnswer(hangingModel('Half').answer);
    const response = await stream();
    const reader = new StreamReader(response);
    await reader.until('Half');
    expect((await client.call('GET', `/api/v1/agents/${agent}`)).body.status).toBe('running');
    await reader.leave();
    expect(await models.asked[0]?.closed).toBe('aborted');
    expect((await untilEnded(idOf(response))).body).toMatchObject({
      status: 'cancelled',
      response: 'Half',
      error: { code: 'cancelled' },
    });
    expect((await client.call('GET', `/api/v1/agents/${agent}`)).body.status).toBe('idle');
  });

  it('while others read, or who asked to respond async, stops nothing', async () => {
    const model = hangingModel('Half');
    models.willAnswer(model.answer);
    const read = new StreamReader(await stream({ prefer: 'respond-async' }));
    const watched = await stream();
    const other = new StreamReader(await events(idOf(watched)));
    const first = new StreamReader(watched);
    await Promise.all([read.until('Half'), first.until('Half'), other.until('Half')]);
    const left = models.asked.map(({ closed }) => closed);
    await Promise.all([read.leave(), first.leave()]);
    // Longer than a turn lives unread: what stops it would have done so by now.
    expect(await Promise.race([...left, delay(1_500)])).toBeUndefined();
    model.finish();
    expect(told(await other.all())).toMatchObject({ text: 'Half', done: true });
    expect(await Promise.all(left)).toEqual(['answered', 'answered']);
  });

  it('and comes back within the second, finds the turn running', async () => {
    const model = hangingModel('Half');
    /** Leaves and comes back; null when this machine took too long for that, which shows nothing. */
    const comeBack = async (): Promise<StreamReader | null> => {
      models.willAnswer(model.answer);
      const response = await stream();
      const reader = new StreamReader(response);
      await reader.until('Half');
      const leftAt = performance.now();
      await reader.leave();
      const again = new StreamReader(await events(idOf(response)));
      await again.until('Half');
      return performance.now() - leftAt < 1_000 ? again : null;
    };
    const again = await eventually('the reader was back in time', comeBack);
    expect(await Promise.race([models.asked[0]?.closed, delay(1_500)])).toBeUndefined();
    model.finish();
    expect(told(await again.all()).done).toBe(true);
  });
});

describe('the events of a turn', () => {
  it('are the payloads of its stream, numbered', async () => {
    const response = await stream();
    const streamedText = await response.text();
    const replay = told(await (await events(idOf(response))).text());
    expect(replay.ids).toEqual(replay.ids.map((_, index) => index + 1));
    expect(replay.payloads).toEqual(told(streamedText).payloads);
    expect(replay).toMatchObject({ done: true, resets: 0 });
  });

  it('go on after Last-Event-ID without gap or repetition, however often the reader is cut off', async () => {
    const model = hangingModel('0');
    models.willAnswer(model.answer);
    const started = await stream({ prefer: 'respond-async' });
    let all: Told | undefined;
    for (let n = 1; n <= 12; n += 1) {
      model.say(`,${n}`);
      const reader = new StreamReader(await events(idOf(started), all?.ids.at(-1)));
      const text = await reader.until(`,${n}"}\n\n`);
      await reader.leave();
      all = told(text.slice(0, text.lastIndexOf('\n\n') + 2), all);
    }
    model.finish();
    const last = told(await (await events(idOf(started), all?.ids.at(-1))).text(), all);
    expect(last).toMatchObject({ text: '0,1,2,3,4,5,6,7,8,9,10,11,12', done: true, resets: 0 });
    expect(last.ids).toEqual(last.ids.map((_, index) => index + 1));
  });

  it('start again for an id that is none of theirs', async () => {
    const response = await stream();
    await response.text();
    const all = told(await (await events(idOf(response))).text());
    const again = told(await (await events(idOf(response), 1_000)).text());
    expect(again).toMatchObject({ resets: 1, text: 'Hello', done: true });
    expect(again.payloads.slice(0, 2)).toEqual([{ reset: true }, { t: 'Hello' }]);
    // Who comes back with any of these ids has everything before it.
    expect(again.ids.at(-1)).toBe(all.ids.at(-1));
    expect(await (await events(idOf(response), all.ids.at(-1))).text()).toBe('');
  });

  it('are refused for what is no id', async () => {
    const response = await stream();
    await response.text();
    for (const lastId of ['x', '-1', '1e3', '9'.repeat(16)]) {
      const path = `${TASKS}/${idOf(response)}/events`;
      const refused = await client.call('GET', path, { headers: { 'last-event-id': lastId } });
      expect([refused.status, refused.body.errors[0].pointer]).toEqual([422, '#/header/Last-Event-ID']);
    }
  });

  it('that no longer fit into memory are told as one text', async () => {
    const word = 'x'.repeat(100_000);
    models.willAnswer(says(...Array.from({ length: 20 }, () => word)));
    const response = await stream({ prefer: 'respond-async' });
    await untilEnded(idOf(response));
    await response.body?.cancel();
    const all = told(await (await events(idOf(response))).text());
    expect(all).toMatchObject({ resets: 1, done: true });
    expect(all.text.length).toBe(2_000_000);
  });

  it('reach a reader whole who was in the middle of that text when the turn ended', async () => {
    // More on the wire than connections take that nobody reads.
    const word = '😀\u001b\u001b'.repeat(25_000);
    const model = hangingModel(word);
    models.willAnswer(model.answer);
    const id = idOf(await stream({ prefer: 'respond-async' }));
    for (let n = 1; n < 30; n += 1) model.say(word);
    model.say('The end.');
    const said = async (): Promise<string> => String((await client.call('GET', `${TASKS}/${id}`)).body.response);
    await eventually('all words are stored', async () => (await said()).endsWith('The end.'));
    const readers = await Promise.all([1, 2].map(async () => new StreamReader(await events(id, 1))));
    for (const reader of readers) await reader.until('"t":"');
    model.finish();
    await untilEnded(id);
    for (const reader of readers) {
      const all = told(await reader.all());
      expect(all.done).toBe(true);
      expect(all.text === `${word.repeat(30)}The end.`).toBe(true);
    }
  });
});

it('a reader that takes nothing holds up nobody', async () => {
  const model = hangingModel('x');
  models.willAnswer(model.answer);
  const body = JSON.stringify({ agent_id: agent, messages: HELLO });
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.pause();
  socket.write(
    `POST ${TASKS}/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await models.heard();
  for (let n = 0; n < 38; n += 1) model.say('y'.repeat(100_000));
  model.finish();
  expect(await models.asked[0]?.closed).toBe('answered');
  await untilIdle(agent);
  socket.destroy();
});

it('streams that wait behind each other on one connection end with it', async () => {
  models.willAnswer(hangingModel('Half').answer);
  const target = await newAgent();
  const body = JSON.stringify({ agent_id: target, messages: HELLO });
  const request = `POST ${TASKS}/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const socket = connect(Number(new URL(service.url).port), '127.0.0.1');
  socket.write(request.repeat(15));
  await models.heard(15);
  socket.destroy();
  await Promise.all(models.asked.map(({ closed }) => closed));
  await untilIdle(target);
  const rows = await service.database?.database.query(
    'test.turns',
    sql`select status, error_code from turns where agent_id = ${target}`,
  );
  expect(rows).toEqual(Array(15).fill({ status: 'cancelled', error_code: 'cancelled' }));
});

it('an answer without end is cut', async () => {
  models.willAnswer(async (response, { closed }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const piece = chunk({ content: 'z'.repeat(200_000) });
    while (!response.destroyed) {
      if (!response.write(piece)) await Promise.race([once(response, 'drain'), closed]);
    }
  });
  const answer = await client.call('POST', TASKS, { json: { agent_id: agent, messages: HELLO } });
  expect(answer.body).toMatchObject({
    status: 'failed',
    error: { code: expect.stringMatching(/answer_too_long|model_malformed/) },
  });
});

describe('SIGTERM', () => {
  const started: Service[] = [];
  afterAll(() => Promise.all(started.map((each) => each.kill())));

  it('lets a turn end within the grace, and ends the others with a last frame', async () => {
    const doomed = await startService({
      LLM_BASE_URL: models.url,
      DEFAULT_CHAT_MODEL: 'test-model',
      SHUTDOWN_GRACE_SECONDS: '8',
    });
    started.push(doomed);
    const ending = await api(doomed);
    const target = (await ending.call('POST', '/api/v1/agents', { json: { config: { name: 'x', tools: [] } } })).body
      .id;
    const json = { agent_id: target as string, messages: HELLO };
    const quick = hangingModel('quick');
    models.willAnswer(quick.answer, hangingModel('slow').answer);
    const first = await ending.stream('POST', `${TASKS}/stream`, { json });
    const readers = [new StreamReader(first)];
    await readers[0]?.until('quick');
    readers.push(new StreamReader(await ending.stream('POST', `${TASKS}/stream`, { json })));
    await readers[1]?.until('slow');
    doomed.signal('SIGTERM');
    await doomed.untilLogged(({ message }) => message === 'The service is shutting down');
    const refused = await fetch(`${doomed.url}${TASKS}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(json),
    });
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([503, 'draining']);
    quick.finish();
    const [whole, cut] = await Promise.all(readers.map((reader) => reader.all()));
    expect(told(whole ?? '')).toMatchObject({ text: 'quick', done: true });
    expect(whole).not.toContain('error');
    expect(cut).toMatch(/data: \{"error":"The service was shut down[^"]*"\}\n\ndata: \[DONE\]\n\n$/);
    expect(await doomed.exited).toBe(0);
  });
});
