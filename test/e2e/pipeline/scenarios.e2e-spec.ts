import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../../support/eventually.js';
import { chunk, fails, streams, type Answer } from '../../support/model-server.js';
import { PipelineClient, type PodPlan } from '../../support/pipeline-client.js';
import { startService, type Service } from '../../support/service.js';
import {
  after,
  PASSING,
  StageModels,
  streamed,
  type StageAnswer,
  type StageScript,
} from '../../support/stage-models.js';

let models: StageModels;
let service: Service;
let pipeline: PipelineClient;

beforeAll(async () => {
  models = await StageModels.start();
  service = await startService({
    LLM_BASE_URL: models.url,
    DEFAULT_CHAT_MODEL: 'model-default',
    PIPELINE_MAX_CONCURRENT: '8',
    MODEL_PRICES: JSON.stringify({ priced: { input: 1_000, output: 1_000 } }),
  });
  pipeline = await PipelineClient.of(service);
});
afterAll(async () => {
  await service?.stop();
  await models?.stop();
});

const KEY = `ghp_${'a1B2c3D4e5'.repeat(4).slice(0, 36)}`;
const finding = (type: string, severity: string) => ({
  type,
  severity,
  description: 'what is wrong',
  evidence: 'here',
});
const blocks = (...findings: object[]) => ({ blocked: true, findings, summary: 'blocked' });
const refactor = {
  verdict: 'needs_refactor',
  issues: [{ severity: 'low', description: 'tidy up the loop' }],
  summary: 'untidy',
};
const reject = { verdict: 'reject', issues: [], summary: 'wrong approach' };
const override = { action: 'override', reasoning: 'fine', adr: '# Why it is fine', escalation_message: null };

async function run(script: StageScript, plan: PodPlan = {}, body: Record<string, unknown> = {}) {
  const model = models.model(script);
  const task = await pipeline.run(model, plan, body);
  return { model, task };
}

describe('work that passes', () => {
  it('goes through the stages once and hands back its result', async () => {
    const { model, task } = await run({});
    expect(task).toMatchObject({ status: 'complete', result: PASSING.task, error: null, current_stage: null });
    expect(task.summary).toMatchObject({ review_verdict: 'pass', findings_count: 0 });
    expect(task.total_input_tokens).toBe(4_000);
    for (const role of ['context', 'task', 'guardrail', 'code_review'] as const)
      expect(models.asked(model, role)).toBe(1);
    expect(models.asked(model, 'decision')).toBe(0);
    expect(await pipeline.list(task.id, 'stages')).toHaveLength(4);
  });

  it('is refactored once and then passes, with all feedback in the next prompt', async () => {
    const { model, task } = await run({ code_review: [refactor, PASSING.code_review] });
    expect(task.status).toBe('complete');
    expect(models.prompts(model, 'task')[1]).toContain('tidy up the loop');
    expect((await pipeline.list(task.id, 'reviews')).map(({ verdict }) => verdict)).toEqual(['needs_refactor', 'pass']);
  });

  it('is repaired after a remediable block, and the repaired finding does not hold it', async () => {
    const { model, task } = await run({ task: [{ ...PASSING.task, output: `the key is ${KEY}` }, PASSING.task] });
    expect(task.status).toBe('complete');
    const [leak, ...others] = await pipeline.list(task.id, 'findings');
    expect(others).toEqual([]);
    expect(leak).toMatchObject({
      finding_type: 'credential_leak',
      deterministic: true,
      status: 'resolved',
      resolved_by: 'guardrail_rerun',
    });
    expect(JSON.stringify([leak, models.calls.filter((call) => call.model === model)])).not.toContain(KEY);
  });
});

describe('work that a stage hands to an agent', () => {
  it('is done in the task’s own files, and judged with them', async () => {
    const writer = models.model({
      task: [{ tool_calls: [{ name: 'write_file', arguments: { path: 'handed.txt', content: KEY } }] }, 'written'],
    });
    const config = { name: 'writer', model: writer, tools: ['write_file'] };
    const agent = (await pipeline.admin('POST', '/api/v1/agents', { config }, 201)).body.id as string;
    const ask = { name: 'send_message_to_agent', arguments: { agent_id: agent, message: 'write it' } };
    const { task } = await run(
      { task: [{ tool_calls: [ask] }, 'done', PASSING.task] },
      { agents: { task: { allowed_tools: ['write_file', 'send_message_to_agent'] }, guardrail: { max_retries: 0 } } },
    );
    expect(task.status).toBe('pending_human_review');
    expect((await pipeline.list(task.id, 'findings')).map(({ finding_type }) => finding_type)).toEqual([
      'credential_leak',
    ]);
    expect(await readdir(service.workspace)).not.toContain('handed.txt');
  });
});

describe('loops that end', () => {
  it('asks the decision agent when the refactor budget is gone', async () => {
    const { model, task } = await run({ code_review: [refactor] });
    expect(models.asked(model, 'task')).toBe(2);
    expect(models.asked(model, 'decision')).toBe(1);
    expect(task).toMatchObject({
      status: 'pending_human_review',
      review: { kind: 'escalation', reason: 'please look' },
    });
  });

  it('lets the decision agent override a rejection, and keeps its record', async () => {
    const { task } = await run({ code_review: [reject], decision: [override] });
    expect(task.status).toBe('complete');
    const artifacts = await pipeline.list(task.id, 'artifacts');
    expect(artifacts.find(({ artifact_type }) => artifact_type === 'adr')).toMatchObject({
      content: '# Why it is fine',
    });
  });

  it('waits for a person when the decision agent escalates a rejection', async () => {
    const { task } = await run({ code_review: [reject] });
    expect(task).toMatchObject({ status: 'pending_human_review', output: null, review: { kind: 'escalation' } });
    expect(task.checkpoint).not.toHaveProperty('task');
    expect(JSON.stringify(await pipeline.events(task.id))).not.toContain('the result');
    const artifacts = await pipeline.list(task.id, 'artifacts');
    expect(artifacts.find(({ artifact_type }) => artifact_type === 'pending_output').content).toContain('the result');
  });

  it.each([
    ['not remediable', blocks(finding('harmful_content', 'low'))],
    ['without findings', blocks()],
  ])('does not run again for a block that is %s, also beside a refactor verdict', async (_, block) => {
    const { model, task } = await run({ guardrail: [block], code_review: [refactor] });
    expect(models.asked(model, 'task')).toBe(1);
    expect(models.asked(model, 'decision')).toBe(1);
    expect(task.review).toMatchObject({ kind: 'escalation' });
  });

  it('lets an override clear a small finding of the model', async () => {
    const { task } = await run({ guardrail: [blocks(finding('policy_violation', 'low'))], decision: [override] });
    expect(task.status).toBe('complete');
    expect(await pipeline.list(task.id, 'findings')).toMatchObject([
      { status: 'resolved', resolved_by: 'decision_agent' },
    ]);
  });

  it('does not let an override clear a deterministic finding', async () => {
    const { task } = await run({ task: [{ ...PASSING.task, output: KEY }], decision: [override] });
    expect(task).toMatchObject({ status: 'pending_human_review', review: { kind: 'finding' } });
  });
});

describe('thresholds and human review', () => {
  const reported = (severity: string) => ({ blocked: false, findings: [finding('spec_drift', severity)], summary: '' });

  it('waits for an open finding at the threshold', async () => {
    const { task } = await run({ guardrail: [reported('medium')] });
    expect(task.review).toMatchObject({ kind: 'finding' });
  });

  it('goes on with one below it', async () => {
    const { task } = await run({ guardrail: [reported('low')] });
    expect(task.status).toBe('complete');
  });

  it('asks for every result where the pod says always, once for the same content', async () => {
    const { task } = await run({}, { pod: { require_human_review: 'always' } });
    expect(task.review).toMatchObject({ kind: 'final' });
    expect((await pipeline.review(task.id, { decision: 'approve' })).status).toBe(200);
    expect(await pipeline.settled(task.id, 1)).toMatchObject({ status: 'complete', result: PASSING.task });
  });

  it('fails instead where the pod says never', async () => {
    const { task } = await run({ code_review: [reject] }, { pod: { require_human_review: 'never' } });
    expect(task.status).toBe('failed');
    const letters = await pipeline.admin('GET', '/api/v1/pipeline/dead-letter', undefined, 200);
    expect(letters.body.find((letter: { task_id: string }) => letter.task_id === task.id)).toMatchObject({
      reason: 'gate_escalation',
    });
  });
});

describe('gates', () => {
  /** A way to each kind of gate, and what approving it leads to. */
  const GATES: Record<string, { script: StageScript; plan?: PodPlan; approved: string }> = {
    escalation: { script: { code_review: [reject] }, approved: 'complete' },
    finding: {
      script: { guardrail: [{ blocked: false, findings: [finding('spec_drift', 'high')], summary: '' }] },
      approved: 'complete',
    },
    final: { script: {}, plan: { pod: { require_human_review: 'always' } }, approved: 'complete' },
    stage_error: { script: { guardrail: ['no JSON', 'no JSON', PASSING.guardrail] }, approved: 'complete' },
  };

  it.each(Object.keys(GATES))('%s: approving goes on, once', async (kind) => {
    const { script, plan, approved } = GATES[kind]!;
    const { task } = await run(script, plan);
    expect(task.review).toMatchObject({ kind });
    expect(
      await pipeline.review(task.id, { decision: 'approve', gate_id: '00000000-0000-7000-8000-00000000dead' }),
    ).toMatchObject({
      status: 409,
      body: { code: 'gate_stale' },
    });
    const twice = await Promise.all([
      pipeline.review(task.id, { decision: 'approve', gate_id: task.review.gate_id }),
      pipeline.review(task.id, { decision: 'approve', gate_id: task.review.gate_id }),
    ]);
    expect(twice.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409]);
    expect(await pipeline.settled(task.id, 1)).toMatchObject({ status: approved });
    expect((await pipeline.review(task.id, { decision: 'reject' })).status).toBe(409);
  });

  it.each(Object.keys(GATES))('%s: rejecting ends the task with the comment', async (kind) => {
    const { script, plan } = GATES[kind]!;
    const { task } = await run(script, plan);
    expect((await pipeline.review(task.id, { decision: 'reject', comment: 'not like this' })).body).toMatchObject({
      status: 'cancelled',
    });
    expect(await pipeline.task(task.id)).toMatchObject({ status: 'cancelled', error: 'not like this', review: null });
    expect((await pipeline.review(task.id, { decision: 'approve' })).status).toBe(409);
  });

  it('needs a credential, also with auth off', async () => {
    const { task } = await run({ code_review: [reject] });
    const answer = await pipeline.api.call('POST', `/api/v1/pipeline/tasks/${task.id}/review`, {
      json: { decision: 'approve' },
    });
    expect(answer.status).toBe(401);
  });

  it('publish_conflict: approving lets the task’s file win over the version that was shown, and opens it again for a newer one', async () => {
    let release: () => void = () => undefined;
    const reviewed = new Promise<void>((resolve) => (release = resolve));
    const model = models.model({
      task: [
        { tool_calls: [{ name: 'write_file', arguments: { path: 'notes.txt', content: 'the task’s words' } }] },
        'done',
        PASSING.task,
      ],
      code_review: [after(reviewed, PASSING.code_review)],
    });
    const pod = await pipeline.createPod(model, { agents: { task: { allowed_tools: ['write_file'] } } });
    const id = await pipeline.submit(pod.name);
    await pipeline.until(id, ({ type, data }) => type === 'stage.started' && data.role === 'code_review');
    await writeFile(join(service.workspace, 'notes.txt'), 'somebody else’s words');
    release();
    const waiting = await pipeline.settled(id);
    expect(waiting).toMatchObject({ status: 'pending_human_review', review: { kind: 'publish_conflict' } });
    const shown = (words: string) => ({
      files: ['notes.txt'],
      conflicts: [
        {
          path: 'notes.txt',
          causes: ['changed'],
          version: `file:${createHash('sha256').update(words).digest('hex')}`,
        },
      ],
      more: 0,
    });
    expect(waiting.review).toMatchObject({
      reason: 'The workspace changed meanwhile: notes.txt.',
      details: shown('somebody else’s words'),
    });
    await writeFile(join(service.workspace, 'notes.txt'), 'newer words');
    expect((await pipeline.review(id, { decision: 'approve' })).status).toBe(200);
    const again = await pipeline.settled(id, 1);
    expect(again.review).toMatchObject({ kind: 'publish_conflict', details: shown('newer words') });
    expect(await readFile(join(service.workspace, 'notes.txt'), 'utf8')).toBe('newer words');
    expect((await pipeline.review(id, { decision: 'approve', gate_id: again.review.gate_id })).status).toBe(200);
    expect(await pipeline.settled(id, 2)).toMatchObject({ status: 'complete' });
    expect(await readFile(join(service.workspace, 'notes.txt'), 'utf8')).toBe('the task’s words');
    const artifacts = await pipeline.list(id, 'artifacts');
    expect(artifacts.find(({ artifact_type }) => artifact_type === 'code')).toMatchObject({
      file_path: 'notes.txt',
      content: 'the task’s words',
    });
  });
});

describe('failing stages', () => {
  const ROLES = ['context', 'task', 'guardrail', 'code_review'] as const;

  it.each(ROLES.flatMap((role) => ['abort', 'escalate'].map((onFailure) => [role, onFailure] as const)))(
    '%s that fails with on_failure %s never completes',
    async (role, onFailure) => {
      const { task } = await run({ [role]: [fails(403)] }, { agents: { [role]: { on_failure: onFailure } } });
      if (onFailure === 'abort') expect(task).toMatchObject({ status: 'failed' });
      else expect(task).toMatchObject({ status: 'pending_human_review', review: { kind: 'stage_error' } });
    },
  );

  it.each(['abort', 'escalate'] as const)(
    'decision that fails with on_failure %s never completes',
    async (onFailure) => {
      const script = { code_review: [reject], decision: [fails(403)] };
      const { task } = await run(script, { agents: { decision: { on_failure: onFailure } } });
      expect(task.status).toBe(onFailure === 'abort' ? 'failed' : 'pending_human_review');
    },
  );

  it('skips context where the pod says so, and only there', async () => {
    const { task } = await run({ context: [fails(403)] }, { agents: { context: { on_failure: 'skip' } } });
    expect(task.status).toBe('complete');
    expect((await pipeline.list(task.id, 'stages'))[0]).toMatchObject({ role: 'context', status: 'skipped' });
  });

  it('records it as skipped also when a neighbour of its group ends later', async () => {
    let release: () => void = () => undefined;
    const told = new Promise<void>((resolve) => (release = resolve));
    const model = models.model({ context: [fails(403)], task: [after(told, PASSING.task)] });
    const together = { parallel_group: 'first' };
    const agents = { context: { ...together, on_failure: 'skip' }, task: together };
    const id = await pipeline.submit((await pipeline.createPod(model, { agents })).name);
    const { data } = await pipeline.until(id, ({ type }) => type === 'stage.finished');
    expect(data).toMatchObject({ role: 'context', status: 'skipped' });
    release();
    expect(await pipeline.settled(id)).toMatchObject({ status: 'complete' });
    expect((await pipeline.list(id, 'stages')).find(({ role }) => role === 'context')).toMatchObject({
      status: 'skipped',
      attempt: 1,
    });
  });

  it('retries a failed stage with a pause and counts it', async () => {
    const { task } = await run({ task: [fails(403), PASSING.task] }, {}, { max_retries: 2 });
    expect(task).toMatchObject({ status: 'complete', retry_count: 1 });
  });

  it('goes on after the tools of the failed attempt, and runs none of them again', async () => {
    const { first, again, made } = creating('made once');
    const { model, task } = await run(
      { task: [first, fails(403), again, PASSING.task] },
      { agents: { task: { allowed_tools: ['create_agent'] } } },
      { max_retries: 1 },
    );
    expect(task).toMatchObject({ status: 'complete', retry_count: 1 });
    expect(await made()).toBe(1);
    expect(toolRounds(model)).toHaveLength(3);
    // What the failed attempt used is counted with it alone.
    const attempts = (await pipeline.list(task.id, 'stages')).filter(({ role }) => role === 'task');
    expect(attempts).toMatchObject([
      { attempt: 1, status: 'failed', input_tokens: 1_000 },
      { attempt: 2, status: 'complete', input_tokens: 2_000 },
    ]);
  });

  it('is not retried past a call whose outcome nobody knows', async () => {
    const silent = models.model({ task: [after(new Promise(() => undefined), 'never'), 'It is done.'] });
    const config = { name: 'silent', model: silent, tools: [] };
    const agent = (await pipeline.admin('POST', '/api/v1/agents', { config }, 201)).body.id as string;
    const ask = { name: 'send_message_to_agent', arguments: { agent_id: agent, message: 'do it' } };
    const { first, again, made } = creating('made before');
    const { model, task } = await run(
      { task: [{ tool_calls: [...first.tool_calls, ask] }, again, PASSING.task] },
      { agents: { task: { allowed_tools: ['create_agent', 'send_message_to_agent'], timeout_seconds: 5 } } },
      { max_retries: 1 },
    );
    expect(task).toMatchObject({ status: 'pending_human_review', review: { kind: 'tool_effect' } });
    expect([toolRounds(model).length, toolRounds(silent).length]).toEqual([1, 1]);
    // That call is made again, and none of those that were asked for with it.
    expect((await pipeline.review(task.id, { decision: 'approve' })).status).toBe(200);
    expect(await pipeline.settled(task.id, 1)).toMatchObject({ status: 'complete' });
    expect([toolRounds(model).length, toolRounds(silent).length, await made()]).toEqual([2, 2, 1]);
    expect(JSON.stringify(toolRounds(model)[1])).toContain('It is done.');
  });

  it.each([true, false])('is shown the diff of before its own unfinished work, if there was one: %s', async (was) => {
    const write = (content: string) => ({
      tool_calls: [{ name: 'write_file', arguments: { path: `shown-${was}.txt`, content } }],
    });
    const earlier = was ? [write('first words')] : [];
    const { model, task } = await run(
      {
        task: [...earlier, 'done', PASSING.task, write('second words'), fails(403), 'done', PASSING.task],
        code_review: [refactor, PASSING.code_review],
      },
      { agents: { task: { allowed_tools: ['write_file'] } } },
      { max_retries: 1 },
    );
    expect(task).toMatchObject({ status: 'complete', retry_count: 1 });
    const asked = toolRounds(model).map((messages) => JSON.stringify(messages.slice(0, 2)));
    expect(asked).toHaveLength(was ? 5 : 4);
    expect(asked.at(-3)?.includes('+first words')).toBe(was);
    expect(asked.at(-1)).toBe(asked.at(-3));
  });
});

/** A model that makes an agent, `again` only if nothing says that it did so before, and how many there are. */
function creating(name: string): { first: ToolCalls; again: Answer; made: () => Promise<number> } {
  const first = { tool_calls: [{ name: 'create_agent', arguments: { name } }] };
  return {
    first,
    again: (response, asked) =>
      streamed(JSON.stringify(asked.body.messages).includes('"role":"tool"') ? 'done' : first)(response, asked),
    made: async () => {
      const agents = (await pipeline.admin('GET', '/api/v1/agents', undefined, 200)).body as Named[];
      return agents.filter(({ config }) => config.name === name).length;
    },
  };
}
type ToolCalls = Extract<StageAnswer, { tool_calls: { name: string; arguments: unknown }[] }>;
interface Named {
  config: { name: string };
}

/** The prompts of `model`'s rounds with tools, and of its turns. */
function toolRounds(model: string): unknown[][] {
  return models.calls
    .filter((call) => call.model === model && (call.offersTools || call.role === null))
    .map(({ prompt }) => JSON.parse(prompt) as unknown[]);
}

describe('limits', () => {
  const PRICED = { MODEL: 'priced' };

  it('opens the gate cost before a call that could go over, and approving raises the limit once', async () => {
    const pod = await pipeline.createPod(PRICED.MODEL, { pod: { max_cost_usd: 6 } });
    const id = await pipeline.submit(pod.name);
    const waiting = await pipeline.settled(id);
    expect(waiting).toMatchObject({ status: 'pending_human_review', review: { kind: 'cost' } });
    expect(waiting.total_cost_usd).toBeLessThanOrEqual(6);
    expect((await pipeline.review(id, { decision: 'approve' })).status).toBe(200);
    const next = await pipeline.settled(id, 1);
    expect(next.total_cost_usd).toBeLessThanOrEqual(12);
    expect(next.total_cost_usd).toBeGreaterThan(waiting.total_cost_usd);
  });

  it('counts what a failed model of the chain cost before it asks the fallback', async () => {
    // 2,000 tokens' worth of words and no end: billed, and no answer.
    const dear = models.model({ task: [streams(chunk({ content: 'word '.repeat(1_600) }))] });
    const fallback = models.model();
    const owned = await startService({
      LLM_BASE_URL: models.url,
      MODEL_PRICES: JSON.stringify(Object.fromEntries([dear, fallback].map((id) => [id, { input: 0, output: 1_000 }]))),
    });
    try {
      const own = await PipelineClient.of(owned);
      const task = { max_tokens: 2_500, fallback_models: [fallback] };
      const only = { context: null, guardrail: null, code_review: null, decision: null, task };
      const pod = await own.createPod(dear, { pod: { max_cost_usd: 4 }, agents: only });
      const waiting = await own.settled(await own.submit(pod.name));
      expect(waiting).toMatchObject({ status: 'pending_human_review', review: { kind: 'cost' } });
      expect(waiting.total_cost_usd).toBeCloseTo(2);
      expect([models.asked(dear, 'task'), models.asked(fallback, 'task')]).toEqual([1, 0]);
      expect((await own.review(waiting.id, { decision: 'approve' })).status).toBe(200);
      const done = await own.settled(waiting.id, 1);
      expect(done.total_cost_usd).toBeLessThanOrEqual(8);
    } finally {
      await owned.stop();
    }
  });

  it('counts what was used before a cancel and not written yet', async () => {
    const broken = models.model({ task: [streams(chunk({ content: 'word '.repeat(400) }))] });
    let begun: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (begun = resolve));
    const hanging = models.model({ task: [async (_, { closed }) => (begun(), void (await closed))] });
    const agents = { context: null, task: { fallback_models: [hanging] } };
    const pod = await pipeline.createPod(broken, { agents });
    const id = await pipeline.submit(pod.name);
    await asked;
    expect((await pipeline.cancel(id)).status).toBe(200);
    const counted = await eventually('the cancelled task shows what it used', async () => {
      const task = await pipeline.task(id);
      return task.total_output_tokens > 0 && task;
    });
    expect(counted.status).toBe('cancelled');
    expect(await pipeline.list(id, 'stages')).toMatchObject([
      { status: 'cancelled', model: broken, output_tokens: counted.total_output_tokens },
    ]);
  });

  it('refuses a cost limit with a model whose price is not known', async () => {
    const pod = await pipeline.createPod('nobody-knows-its-price', { pod: { max_cost_usd: 1 } });
    const answer = await pipeline.api.call('POST', '/api/v1/pipeline/tasks', {
      as: 'admin',
      json: { user_input: 'x', pod_name: pod.name },
    });
    expect(answer).toMatchObject({ status: 422, body: { code: 'price_unknown' } });
  });

  it('fails a stage that takes too long, and a task that spends its time', async () => {
    const never = after(new Promise(() => undefined), PASSING.task);
    const slow = await run({ task: [never] }, { agents: { task: { timeout_seconds: 1 } } });
    expect(slow.task).toMatchObject({ status: 'failed', error: expect.stringContaining('longer than 1 s') });
    const spent = await run({ task: [never] }, { pod: { max_execution_seconds: 1 } });
    expect(spent.task.status).toBe('failed');
    const letters = await pipeline.admin('GET', '/api/v1/pipeline/dead-letter', undefined, 200);
    const reasons = new Map(
      letters.body.map((letter: { task_id: string; reason: string }) => [letter.task_id, letter.reason]),
    );
    expect(reasons.get(spent.task.id)).toBe('execution_time_exceeded');
  });
});

describe('cancelling', () => {
  it('stops running work and keeps it stopped', async () => {
    const model = models.model({ task: [after(new Promise(() => undefined), PASSING.task)] });
    const id = await pipeline.submit((await pipeline.createPod(model)).name);
    await pipeline.until(id, ({ type, data }) => type === 'stage.started' && data.role === 'task');
    expect(await pipeline.cancel(id)).toMatchObject({ status: 200, body: { status: 'cancelled' } });
    expect(await pipeline.settled(id)).toMatchObject({ status: 'cancelled' });
    expect(await pipeline.cancel(id)).toMatchObject({ status: 409, body: { code: 'task_terminal' } });
  });

  it('cancels a task that waits for a person, and its gate with it', async () => {
    const { task } = await run({ code_review: [reject] });
    expect((await pipeline.cancel(task.id)).status).toBe(200);
    expect((await pipeline.review(task.id, { decision: 'approve' })).status).toBe(409);
  });
});

describe('a pod that changes while its task runs', () => {
  it('does not touch the task, and cannot be deleted before it ends', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const model = models.model({ context: [after(held, PASSING.context)] });
    const pod = await pipeline.createPod(model);
    const id = await pipeline.submit(pod.name);
    await pipeline.until(id, ({ type }) => type === 'stage.started');
    await pipeline.admin(
      'PATCH',
      `/api/v1/pods/${pod.id}`,
      { require_human_review: 'always', name: `${pod.name} renamed` },
      200,
    );
    await pipeline.admin('DELETE', `/api/v1/pods/${pod.id}`, undefined, 409);
    release();
    expect(await pipeline.settled(id)).toMatchObject({ status: 'complete', pod_name: pod.name });
    await pipeline.admin('DELETE', `/api/v1/pods/${pod.id}`, undefined, 204);
    expect(await pipeline.task(id)).toMatchObject({ status: 'complete', pod_id: null });
  });
});

// Last: it cools the provider of every task here down.
describe('a provider that is unavailable', () => {
  it('cancels a task that waits for its retry', async () => {
    const model = models.model({ task: [fails(503, {}, { 'retry-after': '3600' })] });
    const pod = await pipeline.createPod(`gateway/${model}`);
    const id = await pipeline.submit(pod.name);
    await pipeline.until(id, ({ type }) => type === 'task.retried');
    expect((await pipeline.task(id)).waiting_for).toMatchObject({ reason: 'provider' });
    expect((await pipeline.cancel(id)).status).toBe(200);
    await pipeline.expectLegalTransitions(id);
  });
});
