import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ModelServer } from '../../support/model-server.js';
import { PipelineClient } from '../../support/pipeline-client.js';
import { startService, type Service } from '../../support/service.js';
import { PASSING, roleIn, StageModels, streamed, whole, type StageAnswer } from '../../support/stage-models.js';

const KEY = `ghp_${'a1B2c3D4e5'.repeat(4).slice(0, 36)}`;

describe.each([
  ['streamed', 'true'],
  ['not streamed', 'false'],
])('a task of the seeded Quartet, %s', (_, streaming) => {
  let server: ModelServer;
  let service: Service;
  let pipeline: PipelineClient;

  beforeAll(async () => {
    server = await ModelServer.start();
    const price = { input: 1, output: 1 };
    service = await startService({
      LLM_BASE_URL: server.url,
      LLM_STREAMING: streaming,
      DEFAULT_CHAT_MODEL: 'm',
      MODEL_PRICES: JSON.stringify({ sized: price, unsized: price }),
      MODEL_OPTIONS: JSON.stringify({ sized: { max_output: 100 } }),
    });
    pipeline = await PipelineClient.of(service);
  });
  afterAll(async () => {
    await service?.stop();
    await server?.stop();
  });

  /** The requests for answers that the endpoint got for one task whose task stage makes `rounds` of tool calls. */
  async function asked(rounds: number, pod = 'Quartet'): Promise<Record<string, unknown>[]> {
    let left = rounds;
    server.willAnswer((response, { path, body }) => {
      if (!path.endsWith('/chat/completions')) return void response.writeHead(404).end();
      const role = roleIn(JSON.stringify(body.messages)) ?? 'task';
      const round = role === 'task' && left > 0;
      if (round) left -= 1;
      const answer = round
        ? { tool_calls: [{ name: 'list_dir', arguments: { path: '.', recursive: left % 2 === 0 } }] }
        : PASSING[role];
      return (streaming === 'true' ? streamed : whole)(answer)(response, { path, body, headers: {}, closed: never });
    });
    const task = await pipeline.settled(await pipeline.submit(pod));
    expect(task).toMatchObject({ status: 'complete', retry_count: 0 });
    return server.asked.filter(({ path }) => path.endsWith('/chat/completions')).map(({ body }) => body);
  }
  const never = new Promise<never>(() => undefined);

  it.each([0, 1, 3])('makes 4 model calls and one for each of %d tool rounds', async (rounds) => {
    expect(await asked(rounds)).toHaveLength(4 + rounds);
  });

  it('sends no temperature and no limit of an answer that its agents leave out; a cost limit needs to know the longest one', async () => {
    const open = { temperature: null, max_tokens: null };
    const agents = { context: open, task: open, guardrail: open, code_review: open };
    const pods = await Promise.all(
      ['sized', 'unsized'].map((model) => pipeline.createPod(model, { pod: { max_cost_usd: 1 }, agents })),
    );
    const bodies = await asked(0, pods[0]!.name);
    expect(bodies).toHaveLength(4);
    for (const body of bodies) {
      expect(Object.keys(body).filter((key) => /temperature|max_tokens|max_completion_tokens/.test(key))).toEqual([]);
    }
    const json = { user_input: 'x', pod_name: pods[1]!.name };
    expect(await pipeline.api.call('POST', '/api/v1/pipeline/tasks', { as: 'admin', json })).toMatchObject({
      status: 422,
      body: { code: 'price_unknown', detail: expect.stringContaining('the longest answer of the model unsized') },
    });
  });

  it('tells every schema from the first message on, and asks the endpoint to enforce it only where there are no tools', async () => {
    for (const body of await asked(1)) {
      const [first] = body.messages as { content: string }[];
      const role = roleIn(first?.content ?? '');
      expect(Object.keys(PASSING[role ?? 'decision']).every((key) => first?.content.includes(`"${key}"`))).toBe(true);
      expect('response_format' in body).toBe(!('tools' in body));
    }
  });
});

describe('an answer that is slightly off', () => {
  let models: StageModels;
  let service: Service;
  let pipeline: PipelineClient;

  beforeAll(async () => {
    models = await StageModels.start();
    service = await startService({ LLM_BASE_URL: models.url, DEFAULT_CHAT_MODEL: 'none' });
    pipeline = await PipelineClient.of(service);
  });
  afterAll(async () => {
    await service?.stop();
    await models?.stop();
  });

  it('in what it describes is mended, and its verdict counts at once', async () => {
    const issues = ['12', '12-15', [12, 15], null, 'L12'].map((line) => ({ severity: 'low', line, extra: {} }));
    const answer = `<think>{"verdict":"pass"}</think>\n\`\`\`json\n${JSON.stringify({ verdict: 'reject', issues })}\n\`\`\``;
    const model = models.model({ code_review: [answer] });
    const task = await pipeline.run(model);
    expect(task).toMatchObject({ status: 'pending_human_review', review: { kind: 'escalation' } });
    expect(models.asked(model, 'code_review')).toBe(1);
    const [review] = await pipeline.list(task.id, 'reviews');
    expect(review.verdict).toBe('reject');
    expect(review.issues.map(({ line }: { line: number | null }) => line)).toEqual([12, 12, 12, null, 12]);
    expect(task.checkpoint.code_review.notes).toContain('issues.0.line: mended.');
  });

  it.each<[string, StageAnswer]>([
    ['gives its verdict twice', '{"verdict":"reject","\\u0056erdict":"pass","issues":[],"summary":""}'],
    ['names a severity otherwise', { ...PASSING.code_review, issues: [{ severity: 'High', description: 'x' }] }],
    ['is two values', `${JSON.stringify(PASSING.code_review)}\n${JSON.stringify(PASSING.code_review)}`],
    ['has prose around it', `Here it is: ${JSON.stringify(PASSING.code_review)}`],
  ])('in what it decides is asked for again once, and no pass: it %s', async (_, answer) => {
    const model = models.model({ code_review: [answer] });
    const task = await pipeline.run(model);
    expect(task).toMatchObject({ status: 'pending_human_review', review: { kind: 'stage_error' } });
    expect(models.asked(model, 'code_review')).toBe(2);
  });

  it('by contradicting itself counts by its stricter half', async () => {
    const issue = {
      severity: 'critical',
      description: 'It deletes everything.',
      file: 'a.ts',
      line: 1,
      suggestion: null,
    };
    const model = models.model({ code_review: [{ verdict: 'pass', issues: [issue], summary: 'Fine.' }] });
    const task = await pipeline.run(model);
    expect(task).toMatchObject({ status: 'pending_human_review', review: { kind: 'escalation' } });
    expect(models.prompts(model, 'task')).toHaveLength(2);
    expect(models.prompts(model, 'task')[1]).toContain('It deletes everything.');
    const open = { blocked: false, findings: [{ type: 'other', severity: 'high', description: 'x', evidence: '' }] };
    const unblocked = await pipeline.run(models.model({ guardrail: [open] }));
    expect(unblocked).toMatchObject({ status: 'pending_human_review', review: { kind: 'finding' } });
  });
});

describe('the record of a task whose model cannot do the work', () => {
  let models: StageModels;
  let service: Service;
  let pipeline: PipelineClient;

  beforeAll(async () => {
    models = await StageModels.start();
    service = await startService({ LLM_BASE_URL: models.url, DEFAULT_CHAT_MODEL: 'none' });
    pipeline = await PipelineClient.of(service);
  });
  afterAll(async () => {
    await service?.stop();
    await models?.stop();
  });

  const words = `I would rather talk about ${KEY}. ${'So it goes. '.repeat(500)}`;

  it('says what was sent, masked and cut, and what was wrong with it', async () => {
    const task = await pipeline.run(models.model({ task: [words] }));
    const stage = (await pipeline.list(task.id, 'stages')).find(({ role }) => role === 'task');
    for (const error of [task.error, stage.error] as string[]) {
      expect(error).toContain('The model gave no valid task_output: it is not one JSON value and nothing else');
      expect(error).toContain('It sent: I would rather talk about [GitHub token "ghp_…"');
      expect(error).toContain('characters cut');
      expect(error.length).toBeLessThan(1_000);
    }
    expect(JSON.stringify([task, stage, await pipeline.events(task.id)])).not.toContain(KEY);
  });

  it('tells it in no event', async () => {
    const task = await pipeline.run(models.model({ guardrail: [words] }));
    expect(task.review).toMatchObject({
      kind: 'stage_error',
      reason: 'guardrail: The model gave no valid guardrail_output: it is not one JSON value and nothing else',
    });
    expect(JSON.stringify(await pipeline.events(task.id))).not.toContain('rather talk');
    const stage = (await pipeline.list(task.id, 'stages')).find(({ role }) => role === 'guardrail');
    expect(stage.error).toContain('It sent: I would rather talk about');
  });

  it('says what came in the place of an answer, or of one that broke off, masked and cut', async () => {
    const sends =
      (type: string, body: string): StageAnswer =>
      (response) =>
        void response.writeHead(200, { 'content-type': type }).end(body);
    const piece = JSON.stringify({ choices: [{ index: 0, delta: { content: words } }] });
    for (const [answer, complaint] of [
      [sends('text/event-stream', `data: ${piece}\n\n`), 'broke off in mid-answer'],
      [sends('text/html', `<p>${words}</p>`), 'sent an answer that cannot be read'],
      [sends('application/json', JSON.stringify({ answer: words })), 'sent no answer'],
    ] as const) {
      const task = await pipeline.run(models.model({ task: [answer] }));
      expect(task.error).toContain(complaint);
      expect(task.error).toMatch(/It sent: .{0,20}I would rather talk about \[GitHub token "ghp_…"/);
      expect(task.error.length).toBeLessThan(1_000);
      expect(JSON.stringify([task, await pipeline.list(task.id, 'stages')])).not.toContain(KEY);
    }
  });

  it('says how an answer ended, and that nothing came', async () => {
    const cut: StageAnswer = (response) =>
      void response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end(
          'data: {"choices":[{"index":0,"delta":{"content":"{"},"finish_reason":null}]}\n\ndata: {"choices":[{"index":0,"delta":{},"finish_reason":"max_tokens_reached"}]}\n\ndata: [DONE]\n\n',
        );
    for (const [answer, expected] of [
      [cut, 'it ended with "max_tokens_reached" instead of a normal stop\nIt sent: {'],
      ['', 'it is empty\nIt sent: (an empty answer)'],
    ] as const) {
      const task = await pipeline.run(models.model({ context: [answer] }));
      expect(task.error).toContain(expected);
    }
  });
});
