/** @needs redis-server */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { fails, type Answer } from '../support/model-server.js';
import { PipelineClient } from '../support/pipeline-client.js';
import { startService, type Service } from '../support/service.js';
import { after, PASSING, StageModels } from '../support/stage-models.js';
import { TASK_ONLY } from './fleet.js';

const busy = (seconds: number): Answer =>
  fails(429, { error: { message: 'slow down' } }, { 'retry-after': String(seconds) });

let models: StageModels;
beforeAll(async () => {
  models = await StageModels.start();
});
afterAll(() => models?.stop());

const running: Service[] = [];
afterEach(async () => {
  for (const service of running.splice(0)) await service.kill();
});

async function start(providerWaitSeconds: string): Promise<PipelineClient> {
  const service = await startService({
    LLM_BASE_URL: models.url,
    DEFAULT_CHAT_MODEL: 'none',
    PROVIDER_WAIT_SECONDS: providerWaitSeconds,
    LOG_LEVEL: 'INFO',
  });
  running.push(service);
  return PipelineClient.of(service);
}

describe('a provider that answers 429 to everything', () => {
  it('makes the task wait, uses no retry up, and the task goes on by itself', async () => {
    const client = await start('3600');
    const script = { task: [busy(6), busy(1), PASSING.task] };
    const [model, spare] = [models.model(script), models.model(script)];
    const plan = { agents: { ...TASK_ONLY.agents, task: { fallback_models: [spare] } } };
    // Not one retry is allowed, so none can have been used.
    const id = await client.submit((await client.createPod(model, plan)).name, { max_retries: 0 });
    const { data } = await client.until(id, ({ type }) => type === 'task.retried');
    expect(data).toMatchObject({ reason: 'provider', to: 'queued' });
    expect(await client.task(id)).toMatchObject({ status: 'queued', waiting_for: { reason: 'provider' } });
    expect(await client.settled(id)).toMatchObject({ status: 'complete', retry_count: 0 });

    const events = await client.events(id);
    const told = (type: string) => events.filter((event) => event.type === type);
    expect(told('stage.started')).toHaveLength(1);
    expect(told('task.reaped')).toHaveLength(0);
    // Twice it waited for as long as it was asked to, and only then the provider heard of it again.
    expect(told('task.retried')).toHaveLength(2);
    for (const [index, pause] of told('task.retried').entries()) {
      const again = told('task.claimed')[index + 1];
      expect(Date.parse(String(again?.at))).toBeGreaterThanOrEqual(Date.parse(String(pause.data['until'])));
    }
    expect(models.asked(model, 'task') + models.asked(spare, 'task')).toBe(3);
  });

  it('makes the task wait for the stage that still has to run, also when its neighbour ended last', async () => {
    const client = await start('3600');
    let ask: () => void = () => undefined;
    let release: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (ask = resolve));
    const released = new Promise<void>((resolve) => (release = resolve));
    const model = models.model({
      guardrail: [(response, question) => (ask(), after(released, PASSING.guardrail)(response, question))],
      code_review: [async (response, question) => (await asked, busy(6)(response, question)), PASSING.code_review],
    });
    const id = await client.submit((await client.createPod(model)).name);
    await eventually('the provider cools down', async () => {
      const { body } = await client.api.call('GET', '/health/ready');
      return JSON.stringify(body).includes('cooling: ');
    });
    release();
    const { data } = await client.until(id, ({ type }) => type === 'task.retried');
    expect(data).toMatchObject({ reason: 'provider', from: 'guardrail_running', to: 'queued' });
    expect(await client.task(id)).toMatchObject({ current_stage: 'code_review' });
    expect(await client.settled(id)).toMatchObject({ status: 'complete', retry_count: 0 });
    expect([models.asked(model, 'guardrail'), models.asked(model, 'code_review')]).toEqual([1, 2]);
  });

  it('fails the task when it has waited for as long as it may, and a letter tells it', async () => {
    const client = await start('2');
    const id = await client.submit((await client.createPod(models.model({ task: [busy(1)] }), TASK_ONLY)).name);
    expect(await client.settled(id)).toMatchObject({ status: 'failed', retry_count: 0 });
    expect((await client.events(id)).at(-1)).toMatchObject({
      type: 'task.finished',
      data: { code: 'provider_unavailable' },
    });
    const letters = await client.admin('GET', '/api/v1/pipeline/dead-letter', undefined, 200);
    expect(letters.body).toMatchObject([{ task_id: id, reason: 'provider_unavailable' }]);
  });
});
