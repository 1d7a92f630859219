import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { sql } from '../../../src/platform/database/index.js';
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
  service = await startService({ LLM_BASE_URL: models.url, DEFAULT_CHAT_MODEL: 'plain', ROLES: 'api' });
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
    sql`select pod, control from task_requests join tasks on id = task_id where task_id = ${id}`,
  )) as {
    pod: { sandbox: string; network: string; agents: { allowedTools: string[] }[] };
    control: object;
  }[];
  expect(row?.control).toMatchObject({ depth: 1 });
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
