import { expect, it } from '@jest/globals';
import { createTestDatabase } from '../../support/database.js';
import { PipelineClient } from '../../support/pipeline-client.js';
import { startService, type Service } from '../../support/service.js';
import { StageModels } from '../../support/stage-models.js';

it('what a killed process may have spent in a model call is held against the limit of its task', async () => {
  const models = await StageModels.start();
  let begun: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => (begun = resolve));
  const hanging = models.model({ task: [async (_, { closed }) => (begun(), void (await closed))] });
  const database = await createTestDatabase();
  const start = (): Promise<Service> =>
    startService({
      DATABASE_URL: database.url,
      LLM_BASE_URL: models.url,
      MODEL_PRICES: JSON.stringify({ [hanging]: { input: 0, output: 1_000 } }),
    });
  try {
    const first = await start();
    const client = await PipelineClient.of(first);
    // One call may cost 2.5 USD at the most.
    const only = { context: null, guardrail: null, code_review: null, decision: null, task: { max_tokens: 2_500 } };
    const pod = await client.createPod(hanging, { pod: { max_cost_usd: 4 }, agents: only });
    const id = await client.submit(pod.name);
    await asked;
    await first.kill();

    const second = await start();
    try {
      const waiting = await (await PipelineClient.of(second)).settled(id);
      expect(waiting).toMatchObject({ status: 'pending_human_review', review: { kind: 'cost' }, total_cost_usd: 0 });
      expect(waiting.review.reason).toContain('2.500000 of 4.000000 USD are spent or promised');
      expect(models.asked(hanging, 'task')).toBe(1);
    } finally {
      await second.stop();
    }
  } finally {
    await models.stop();
    await database.drop();
  }
});
