import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { chunk, event, fails, streams, type Answer } from '../../support/model-server.js';
import { PipelineClient } from '../../support/pipeline-client.js';
import { startService, type Service } from '../../support/service.js';
import { StageModels, type StageAnswer } from '../../support/stage-models.js';

const JUDGES = ['guardrail', 'code_review', 'decision'] as const;
const REJECT = { verdict: 'reject', issues: [], summary: '' };

/** A connection that ends in the middle of the answer. */
const truncated: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(chunk({ content: '{"blocked": false, "verdict": "pass", "action": "override"' }), () =>
    response.destroy(),
  );
};

/** 50 MB of words, in an answer that would be a pass if somebody cut it at the right place. */
const huge: Answer = (response, asked) => {
  const words = `${' '.repeat(1024 * 1024)}`;
  const stream = asked.body.stream === true;
  response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
  let sent = 0;
  if (!stream)
    response.write('{"id":"c","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"{');
  const more = (): void => {
    while (sent < 50) {
      sent += 1;
      if (response.destroyed) return;
      if (!response.write(stream ? chunk({ content: words }) : words)) {
        response.once('drain', more);
        return;
      }
    }
    response.end(stream ? event('[DONE]') : '}"}}]}');
  };
  more();
};

const GARBAGE: Record<string, StageAnswer> = {
  prose: 'I have looked at it and everything is fine, it passes.',
  'the wrong enum': {
    blocked: false,
    findings: [{ type: 'fine', severity: 'none' }],
    verdict: 'approved',
    action: 'allow',
    summary: '',
  },
  'a word for a boolean': { blocked: 'no', findings: [], summary: '', verdict: true, issues: 'none', action: 1 },
  'an empty object': {},
  'half a JSON': '{"blocked": false, "findings": [], "verdict": "pass", "action": "over',
  nothing: '',
  'HTTP 500': fails(500),
  'a truncated stream': truncated,
  '50 MB': huge,
};

describe.each([
  ['streamed', 'true'],
  ['not streamed', 'false'],
])('garbage from a model, %s', (_, streaming) => {
  let models: StageModels;
  let service: Service;
  let pipeline: PipelineClient;

  beforeAll(async () => {
    models = await StageModels.start();
    service = await startService({ LLM_BASE_URL: models.url, LLM_STREAMING: streaming, DEFAULT_CHAT_MODEL: 'none' });
    pipeline = await PipelineClient.of(service);
  });
  afterAll(async () => {
    await service?.stop();
    await models?.stop();
  });

  it.each(Object.keys(GARBAGE).flatMap((kind) => JUDGES.map((role) => [kind, role] as const)))(
    '%s as the answer of %s never turns its gate green',
    async (kind, role) => {
      const garbage = GARBAGE[kind]!;
      for (const onFailure of ['abort', 'escalate']) {
        const model = models.model({ ...(role === 'decision' ? { code_review: [REJECT] } : {}), [role]: [garbage] });
        const task = await pipeline.run(model, { agents: { [role]: { on_failure: onFailure } } });
        if (onFailure === 'abort') expect(task.status).toBe('failed');
        else expect(task).toMatchObject({ status: 'pending_human_review', review: { kind: 'stage_error' } });
        expect(task.output).toBeNull();
      }
    },
  );

  it('shows the model its own invalid answer once, and takes the corrected one', async () => {
    const good = { blocked: false, findings: [], summary: 'clean' };
    const model = models.model({ guardrail: ['All fine, no findings!', good] });
    expect(await pipeline.run(model)).toMatchObject({ status: 'complete' });
    expect(models.prompts(model, 'guardrail')[1]).toContain('All fine, no findings!');
  });

  it('does not read an answer that was cut at its length limit', async () => {
    const pass = { blocked: false, findings: [], summary: 'clean' };
    const cut: Answer =
      streaming === 'true'
        ? streams(chunk({ content: JSON.stringify(pass) }), chunk({}, 'length'), event('[DONE]'))
        : (response) =>
            void response.writeHead(200, { 'content-type': 'application/json' }).end(
              JSON.stringify({
                id: 'c',
                choices: [
                  {
                    index: 0,
                    finish_reason: 'length',
                    message: { role: 'assistant', content: JSON.stringify(pass) },
                  },
                ],
              }),
            );
    const task = await pipeline.run(models.model({ guardrail: [cut] }));
    expect(task).toMatchObject({ status: 'pending_human_review', review: { kind: 'stage_error' } });
  });
});
