import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createTestDatabase, type TestDatabase } from '../../support/database.js';
import { ModelServer, says } from '../../support/model-server.js';
import { api, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';
import { hangingModel } from './hanging-model.js';
import { StreamReader, told } from './stream-reader.js';
import { eventually } from '../../support/eventually.js';

const TASKS = '/api/v1/tasks';

let models: ModelServer;
let database: TestDatabase;
beforeAll(async () => {
  models = await ModelServer.start();
  database = await createTestDatabase();
});
afterAll(async () => {
  await models.stop();
  await database.drop();
});

function start(): Promise<Service> {
  return startService({
    LLM_BASE_URL: models.url,
    DEFAULT_CHAT_MODEL: 'test-model',
    DATABASE_URL: database.url,
    TASK_HEARTBEAT_INTERVAL_SECONDS: '0.2',
    TASK_STALE_SECONDS: '600',
  });
}

async function begun(client: Api): Promise<{ agent: string; id: string; reader: StreamReader }> {
  const { body } = await client.call('POST', '/api/v1/agents', { json: { config: { name: 'x', tools: [] } } });
  const json = { agent_id: body.id as string, messages: [{ role: 'user', content: 'hello' }] };
  const response = await client.stream('POST', `${TASKS}/stream`, { json });
  return { agent: json.agent_id, id: response.headers.get('x-task-id') ?? '', reader: new StreamReader(response) };
}

it('a turn whose process was killed has failed when the next one starts, and keeps what was checkpointed', async () => {
  models.willAnswer(hangingModel('Half').answer);
  const first = await start();
  const client = await api(first);
  const turn = await begun(client);
  await turn.reader.until('Half');
  // The words are safe once a beat has stored them.
  await eventually('the words are stored', async () => {
    const { body } = await client.call('GET', `${TASKS}/${turn.id}`);
    expect(body.status).toBe('running');
    return body.response === 'Half';
  });
  await first.kill();

  const second = await start();
  try {
    const again = await api(second);
    expect((await again.call('GET', `${TASKS}/${turn.id}`)).body).toMatchObject({
      status: 'failed',
      response: 'Half',
      error: { code: 'interrupted' },
      completed_at: expect.any(String),
    });
    expect((await again.call('GET', `/api/v1/agents/${turn.agent}`)).body.status).toBe('idle');
    expect((await again.call('POST', `${TASKS}/${turn.id}/cancel`)).body).toMatchObject({ code: 'turn_ended' });

    const replay = told(await (await again.stream('GET', `${TASKS}/${turn.id}/events`)).text());
    expect(replay.payloads).toEqual([{ reset: true }, { t: 'Half' }, { error: expect.any(String) as unknown }]);
    expect(replay.done).toBe(true);
    expect([...replay.ids].sort((a, b) => a - b)).toEqual(replay.ids);
    expect(new Set(replay.ids).size).toBe(replay.ids.length);

    models.willAnswer(says('Hello'));
    const json = { agent_id: turn.agent, messages: [{ role: 'user', content: 'again' }] };
    expect((await again.call('POST', TASKS, { json })).body.response).toBe('Hello');
  } finally {
    await second.stop();
  }
});

it('the canonical agent is one across restarts and another default model', async () => {
  const ids = new Set<string>();
  for (const model of ['one', 'two']) {
    const service = await startService({
      LLM_BASE_URL: models.url,
      DEFAULT_CHAT_MODEL: model,
      DATABASE_URL: database.url,
    });
    try {
      const client = await api(service);
      const novas = (await client.call('GET', '/api/v1/agents?name=Nova')).body as {
        id: string;
        config: { model: string };
      }[];
      expect(novas.map(({ config }) => config.model)).toEqual([model]);
      ids.add(novas[0]?.id ?? '');
    } finally {
      await service.stop();
    }
  }
  expect(ids.size).toBe(1);
});
