import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { sql } from '../../../src/platform/database/index.js';
import { eventually } from '../../support/eventually.js';
import { ModelServer, says, type Answer as ModelAnswer } from '../../support/model-server.js';
import { api, type Answer, type Api } from '../../support/openapi.js';
import { startService, type Service } from '../../support/service.js';
import { streamed } from '../../support/stage-models.js';

const TASKS = '/api/v1/tasks';

let models: ModelServer;
let service: Service;
let client: Api;
let key: string;
/** What each model says, by its name. */
const scripts = new Map<string, ModelAnswer[]>();
beforeAll(async () => {
  models = await ModelServer.start();
  models.willAnswer((response, asked) => {
    const script = scripts.get(String(asked.body.model)) ?? [says('Hello')];
    const answer = script.length > 1 ? script.shift() : script[0];
    return answer?.(response, asked);
  });
  // Nothing works on pipeline tasks here: what is submitted stays queued.
  service = await startService({ LLM_BASE_URL: models.url, DEFAULT_CHAT_MODEL: 'plain', ROLES: 'api,scheduler' });
  client = await api(service);
  key = (await service.createKey()).raw_key;
});
afterAll(async () => {
  await service.stop();
  await models.stop();
});

const calls = (name: string, args: object): ModelAnswer => streamed({ tool_calls: [{ name, arguments: args }] });

async function agent(model: string, tools: string[], script: ModelAnswer[] = []): Promise<string> {
  scripts.set(model, script);
  const json = { config: { name: model, model, tools } };
  return (await client.call('POST', '/api/v1/agents', { json, as: key })).body.id as string;
}
const ask = (id: string): Promise<Answer> =>
  client.call('POST', TASKS, { json: { agent_id: id, messages: [{ role: 'user', content: 'go' }] }, as: key });

/** The result of the turn's only call, without its wrapping. */
function resultOf(answer: Answer): { is_error: boolean; text: string } {
  expect(answer.body.tool_calls).toHaveLength(1);
  const [{ result, is_error }] = answer.body.tool_calls as [{ result: string; is_error: boolean }];
  return { is_error, text: /^<tool_output[^>]*>\n([^]*)\n<\/tool_output/.exec(result)?.[1] ?? result };
}

it('agents are listed and shown, and the models', async () => {
  const id = await agent('looker', ['platform'], [calls('list_agents', {}), says('ok')]);
  expect(resultOf(await ask(id)).text).toContain(`"agent_id":"${id}"`);
  scripts.set('looker', [calls('get_agent_info', { agent_id: id }), says('ok')]);
  expect(JSON.parse(resultOf(await ask(id)).text)).toMatchObject({
    name: 'looker',
    tools: ['platform'],
    status: 'running',
  });
  scripts.set('looker', [calls('get_agent_info', { agent_id: '00000000-0000-4000-8000-000000000000' }), says('ok')]);
  expect(resultOf(await ask(id))).toMatchObject({ is_error: true });
  scripts.set('looker', [calls('list_available_models', {}), says('ok')]);
  expect(resultOf(await ask(id)).text).toContain('default: plain');
});

it('an agent that an agent makes gets no tool that its maker lacks', async () => {
  const maker = await agent(
    'maker',
    ['create_agent', 'read_file'],
    [calls('create_agent', { name: 'Made', tools: ['files', 'shell', 'create_agent'] }), says('ok')],
  );
  const made = JSON.parse(resultOf(await ask(maker)).text) as { agent_id: string; tools: string[] };
  expect([...made.tools].sort()).toEqual(['create_agent', 'read_file']);
  const shown = await client.call('GET', `/api/v1/agents/${made.agent_id}`, { as: key });
  expect(shown.body.config.tools).toEqual(made.tools);
});

it('a message to an agent is answered within the sender’s rights, as its owner', async () => {
  const asked = await agent('asked', ['platform', 'files'], [calls('list_agents', {}), says('It is done.')]);
  const sender = await agent(
    'sender',
    ['send_message_to_agent'],
    [calls('send_message_to_agent', { agent_id: asked, message: 'please' }), says('ok')],
  );
  const answer = await ask(sender);
  expect(resultOf(answer)).toEqual({ is_error: false, text: 'It is done.' });
  const rows = (await service.database?.database.query(
    'test.turns',
    sql`select owner, status, tool_calls from turns where agent_id = ${asked}`,
  )) as { owner: string; status: string; tool_calls: { isError: boolean; result: string }[] }[];
  const mine = (await client.call('GET', '/api/v1/keys', { as: 'admin' })).body as { id: string }[];
  expect(rows).toMatchObject([{ owner: `key:${mine[0]?.id}`, status: 'completed' }]);
  // The asked agent may list agents; its asker may not, so it may not either now.
  expect(rows[0]?.tool_calls[0]).toMatchObject({ isError: true });
});

it('work starts work three levels deep and no deeper', async () => {
  const id = await agent('echo', ['send_message_to_agent']);
  let rounds = 0;
  scripts.set('echo', [
    (response, request) => {
      const messages = request.body.messages as { role: string; content: string }[];
      rounds += 1;
      const last = messages.at(-1);
      const deeper = calls('send_message_to_agent', { agent_id: id, message: 'deeper' });
      return (last?.role === 'tool' ? says(`got ${last.content}`) : deeper)(response, request);
    },
  ]);
  const { body } = await ask(id);
  expect(body.status).toBe('completed');
  expect(body.response).toContain('3 levels deep, no deeper');
  // Four turns, two rounds each: the one that was asked, and three below it.
  expect(rounds).toBe(8);
});

it('a task that an agent makes has its owner, at most its tools, and no wider tier', async () => {
  const maker = await agent(
    'tasker',
    ['platform', 'read_file'],
    [calls('create_task', { description: 'Write a poem.' }), says('ok')],
  );
  const { task_id: id } = JSON.parse(resultOf(await ask(maker)).text) as { task_id: string };
  const task = await client.call('GET', `/api/v1/pipeline/tasks/${id}`, { as: key });
  expect(task.body).toMatchObject({ status: 'queued', user_input: 'Write a poem.' });
  const other = (await service.createKey()).raw_key;
  expect((await client.call('GET', `/api/v1/pipeline/tasks/${id}`, { as: other })).status).toBe(404);
  const [row] = (await (service.database as NonNullable<Service['database']>).database.query(
    'test.pod',
    sql`select pod, control, ancestors from task_requests join tasks on id = task_id where task_id = ${id}`,
  )) as {
    pod: { sandbox: string; network: string; agents: { allowedTools: string[] }[] };
    control: object;
    ancestors: string[];
  }[];
  expect(row?.control).toMatchObject({ depth: 1 });
  expect(row?.ancestors).toHaveLength(1);
  expect(row?.pod).toMatchObject({ sandbox: 'workspace', network: 'off' });
  for (const { allowedTools } of row?.pod.agents ?? []) {
    expect(allowedTools.every((name) => ['platform', 'read_file'].includes(name))).toBe(true);
  }
  scripts.set('tasker', [calls('get_task', { task_id: id }), says('ok')]);
  expect(JSON.parse(resultOf(await ask(maker)).text)).toMatchObject({ task_id: id, status: 'queued', output: null });
  scripts.set('tasker', [calls('create_task', { description: 'x', pod_name: 'Nobody' }), says('ok')]);
  expect(resultOf(await ask(maker))).toMatchObject({
    is_error: true,
    text: expect.stringContaining('Nobody') as unknown,
  });
});

interface Held {
  status: string;
  error_code: string | null;
}
const database = (): NonNullable<Service['database']>['database'] =>
  (service.database as NonNullable<Service['database']>).database;
const stateOf = (id: string): Promise<Held> =>
  database().one<Held>('test.state', sql`select status, error_code from tasks where id = ${id}`);

it('what a task starts is charged to the key’s minute', async () => {
  const { raw_key: poor } = await service.createKey({ rate_limit_rpm: 4 });
  const creations = [1, 2, 3, 4].map((n) => calls('create_task', { description: `Work ${n}.` }));
  const maker = await agent('spender', ['create_task'], [...creations, says('ok')]);
  const turn = await client.call('POST', TASKS, {
    json: { agent_id: maker, messages: [{ role: 'user', content: 'go' }] },
    as: poor,
  });
  // One request of its own, and three that its work may start.
  expect((turn.body.tool_calls as { is_error: boolean }[]).map(({ is_error }) => is_error)).toEqual([
    false,
    false,
    false,
    true,
  ]);
});

it('cancelling work cancels the tasks that it led to', async () => {
  const submit = async (): Promise<string> =>
    (await client.call('POST', '/api/v1/pipeline/tasks', { json: { user_input: 'work' }, as: key })).body
      .task_id as string;
  const [parent, child, grandchild, stranger] = [await submit(), await submit(), await submit(), await submit()];
  const below = (id: string, ancestors: string[]): Promise<unknown> =>
    database().query('test.below', sql`update tasks set ancestors = ${ancestors}::uuid[] where id = ${id}`);
  await below(child, [parent]);
  await below(grandchild, [parent, child]);
  expect((await client.call('POST', `/api/v1/pipeline/tasks/${parent}/cancel`, { as: key })).status).toBe(200);
  for (const id of [child, grandchild]) {
    expect(await stateOf(id)).toEqual({ status: 'cancelled', error_code: 'parent_cancelled' });
  }
  expect(await stateOf(stranger)).toMatchObject({ status: 'queued' });

  // A turn that is cancelled after its tool has made a task.
  const maker = await agent('starter', ['create_task'], [calls('create_task', { description: 'Below.' }), () => {}]);
  const started = await client.call('POST', TASKS, {
    json: { agent_id: maker, messages: [{ role: 'user', content: 'go' }] },
    as: key,
    headers: { prefer: 'wait=0' },
  });
  const turn = started.body.task_id as string;
  const made = await eventually('the task is there', async () => {
    const rows = await database().query<{ id: string }>(
      'test.made',
      sql`select id from tasks where ancestors = array[${turn}::uuid]`,
    );
    return rows[0]?.id;
  });
  await client.call('POST', `${TASKS}/${turn}/cancel`, { as: key });
  await eventually('the task is cancelled', async () => (await stateOf(made)).error_code === 'parent_cancelled');
});

it('work of a revoked key ends, and that of an expired one goes on', async () => {
  const idle = await agent('idle', [], [() => {}]);
  const begin = async (): Promise<{ id: string; raw: string; task: string; turn: string }> => {
    const { id, raw_key: raw } = await service.createKey();
    const task = await client.call('POST', '/api/v1/pipeline/tasks', { json: { user_input: 'work' }, as: raw });
    const turn = await client.call('POST', TASKS, {
      json: { agent_id: idle, messages: [{ role: 'user', content: 'go' }] },
      as: raw,
      headers: { prefer: 'wait=0' },
    });
    return { id, raw, task: task.body.task_id as string, turn: turn.body.task_id as string };
  };
  const turnOf = (id: string): Promise<Held> =>
    database().one<Held>('test.turn', sql`select status, error_code from turns where id = ${id}`);
  const [revoked, late, expired] = [await begin(), await begin(), await begin()];
  await database().query(
    'test.expire',
    sql`update api_keys set expires_at = clock_timestamp() where id = ${expired.id}`,
  );
  expect((await client.call('DELETE', `/api/v1/keys/${revoked.id}`, { as: 'admin' })).status).toBe(204);
  // Revoked without a word to anybody: what a lost message leaves.
  await database().query(
    'test.revoke',
    sql`update api_keys set is_active = false, revoked_at = clock_timestamp() where id = ${late.id}`,
  );
  for (const { task, turn } of [revoked, late]) {
    await eventually('its task has ended', async () => (await stateOf(task)).error_code === 'key_revoked');
    await eventually('its turn has ended', async () => (await turnOf(turn)).error_code === 'key_revoked');
    expect([await stateOf(task), await turnOf(turn)]).toMatchObject([{ status: 'cancelled' }, { status: 'cancelled' }]);
  }
  const shown = await client.call('GET', `/api/v1/pipeline/tasks/${revoked.task}`, { as: 'admin' });
  expect(shown.body).toMatchObject({ status: 'cancelled', error: 'The API key of the task was revoked.' });
  await eventually('the expired key is refused', async () => {
    const { status } = await client.call('GET', '/api/v1/agents', { as: expired.raw });
    return status === 401;
  });
  expect([await stateOf(expired.task), await turnOf(expired.turn)]).toMatchObject([
    { status: 'queued' },
    { status: 'running' },
  ]);
});

it('a key holds so many unfinished tasks and running turns, and no more', async () => {
  const bounded = await startService({
    LLM_BASE_URL: models.url,
    DEFAULT_CHAT_MODEL: 'plain',
    ROLES: 'api',
    MAX_KEY_TASKS: '3',
    MAX_KEY_TURNS: '2',
    MAX_KEY_MIB: '1',
  });
  try {
    const at = await api(bounded);
    scripts.set('hanging', [() => {}]);
    const { raw_key: one } = await bounded.createKey();
    const { raw_key: two } = await bounded.createKey();
    const submit = (as: string, size = 4): Promise<Answer> =>
      at.call('POST', '/api/v1/pipeline/tasks', { json: { user_input: '€'.repeat(size) }, as });
    const statuses = [];
    for (let count = 0; count < 4; count += 1) statuses.push((await submit(one)).status);
    expect(statuses).toEqual([202, 202, 202, 429]);
    expect((await submit(one)).body).toMatchObject({ code: 'quota_exceeded' });
    expect([(await submit(two, 190_000)).status, (await submit(two, 190_000)).status]).toEqual([202, 429]);
    expect((await submit('admin', 190_000)).status).toBe(202);
    const made = await at.call('POST', '/api/v1/agents', {
      json: { config: { name: 'h', model: 'hanging', tools: [] } },
      as: one,
    });
    const turn = (): Promise<Answer> =>
      at.call('POST', TASKS, {
        json: { agent_id: made.body.id, messages: [{ role: 'user', content: 'go' }] },
        as: one,
        headers: { prefer: 'wait=0' },
      });
    const [first, second, third] = [await turn(), await turn(), await turn()];
    expect([first.status, second.status, third.status]).toEqual([202, 202, 429]);
    await at.call('POST', `${TASKS}/${first.body.task_id}/cancel`, { as: one });
    expect((await turn()).status).toBe(202);

    const { raw_key: many } = await bounded.createKey({ rate_limit_rpm: null });
    /** How many requests were let in of more at once than there are connections; all others were told why. */
    const letIn = async (request: (count: number) => Promise<Answer>): Promise<number> => {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, count) => request(count)));
      const refused = answers.filter(({ status }) => status !== 201 && status !== 202);
      expect(refused.filter(({ body }) => body.code !== 'quota_exceeded')).toEqual([]);
      return answers.length - refused.length;
    };
    const ask = (count: number): Promise<Answer> =>
      at.call('POST', TASKS, {
        json: { agent_id: made.body.id, messages: [{ role: 'user', content: 'go' }] },
        as: many,
        headers: { prefer: 'wait=0', ...(count % 2 === 0 && { 'idempotency-key': `turn-${count}` }) },
      });
    await ask(100);
    expect(await letIn(ask)).toBe(1);
    const task = (as: string, count: number, size = 4): Promise<Answer> =>
      at.call('POST', '/api/v1/pipeline/tasks', {
        json: { user_input: '€'.repeat(size) },
        as,
        headers: count % 2 === 0 ? { 'idempotency-key': `task-${count}` } : {},
      });
    await task(many, 100);
    await task(many, 101);
    expect(await letIn((count) => task(many, count))).toBe(1);
    const { raw_key: large } = await bounded.createKey({ rate_limit_rpm: null });
    await task(large, 100, 190_000);
    expect(await letIn((count) => task(large, count, 100_000))).toBe(1);
  } finally {
    await bounded.stop();
  }
});
