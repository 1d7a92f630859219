import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { fails } from '../../support/model-server.js';
import { PipelineClient } from '../../support/pipeline-client.js';
import { startService, type LogLine, type Service } from '../../support/service.js';
import { PASSING, StageModels } from '../../support/stage-models.js';

let models: StageModels;
let service: Service;
let pipeline: PipelineClient;

beforeAll(async () => {
  models = await StageModels.start();
  service = await startService({ LLM_BASE_URL: models.url, DEFAULT_CHAT_MODEL: 'model-default' });
  pipeline = await PipelineClient.of(service);
});
afterAll(async () => {
  await service?.stop();
  await models?.stop();
});

/** Complaints about `model`, each with the fields of the work that asked it. */
const complaints = (model: string): LogLine[] => service.logs.filter(({ message }) => message.includes(`${model} `));
const workOf = (line: LogLine | undefined): unknown[] =>
  ['task_id', 'stage', 'attempt', 'turn_id', 'agent_id'].map((field) => line?.[field]);

async function makeAgent(model: string): Promise<string> {
  const config = { name: model, model, tools: ['create_agent'] };
  return (await pipeline.admin('POST', '/api/v1/agents', { config }, 201)).body.id as string;
}

it('lines about a task say which task, which stage and which attempt', async () => {
  const model = models.model({
    context: [fails(403), PASSING.context],
    code_review: [fails(403), PASSING.code_review],
  });
  const pod = await pipeline.createPod(model, { agents: { code_review: { on_failure: 'abort' } } });
  const id = await pipeline.submit(pod.name, { max_retries: 2 });
  expect(await pipeline.settled(id)).toMatchObject({ status: 'complete' });
  expect(complaints(model).map(workOf)).toEqual([
    [id, 'context', 1, undefined, undefined],
    [id, 'code_review', 1, undefined, undefined],
  ]);
  const failing = models.model({ task: [fails(403)] });
  const failed = await pipeline.run(failing, {}, { max_retries: 1 });
  expect(failed).toMatchObject({ status: 'failed' });
  expect(complaints(failing).map(workOf)).toEqual([
    [failed.id, 'task', 1, undefined, undefined],
    [failed.id, 'task', 2, undefined, undefined],
  ]);
});

it('lines about a turn say which turn of which agent, and name no task', async () => {
  const model = models.model({ task: [fails(403)] });
  const agent = await makeAgent(model);
  const turn = await pipeline.api.call('POST', '/api/v1/tasks', {
    as: 'admin',
    json: { agent_id: agent, messages: [{ role: 'user', content: 'go' }] },
  });
  expect(complaints(model).map(workOf)).toEqual([[undefined, undefined, undefined, turn.body.task_id, agent]]);
});

it('lines about a turn that a task started name both', async () => {
  const asked = models.model({ task: [fails(403)] });
  const agent = await makeAgent(asked);
  const call = { name: 'send_message_to_agent', arguments: { agent_id: agent, message: 'please' } };
  const model = models.model({ task: [{ tool_calls: [call] }, PASSING.task] });
  const pod = await pipeline.createPod(model, { agents: { task: { allowed_tools: ['platform'] } } });
  const id = await pipeline.submit(pod.name);
  expect(await pipeline.settled(id)).toMatchObject({ status: 'complete' });
  expect(complaints(asked).map(workOf)).toEqual([[id, 'task', 1, expect.any(String), agent]]);
});

it('an agent keeps which turn or which task made it', async () => {
  const call = { name: 'create_agent', arguments: { name: 'Made' } };
  const maker = await makeAgent(models.model({ task: [{ tool_calls: [call] }, 'ok'] }));
  const turn = await pipeline.api.call('POST', '/api/v1/tasks', {
    as: 'admin',
    json: { agent_id: maker, messages: [{ role: 'user', content: 'go' }] },
  });
  const model = models.model({ task: [{ tool_calls: [call] }, PASSING.task] });
  const pod = await pipeline.createPod(model, { agents: { task: { allowed_tools: ['create_agent'] } } });
  const id = await pipeline.submit(pod.name);
  await pipeline.settled(id);
  const made = await pipeline.api.call('GET', '/api/v1/agents?name=Made', { as: 'admin' });
  expect((made.body as { config: { metadata: unknown } }[]).map(({ config }) => config.metadata)).toEqual([
    { created_by_turn: turn.body.task_id },
    { created_by_task: id },
  ]);
});
