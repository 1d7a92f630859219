import { Logger } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { callOf, createLlm, failureOf, LearntInMemory } from './llm-setup.js';
import { event, fails, ModelServer, says, streams, type Answer, type Asked } from '../../support/model-server.js';

const SCHEMA = { name: 'verdict', schema: { type: 'object', properties: { ok: { type: 'boolean' } } } };
const TOOL = { name: 'read_file', description: 'Reads', inputSchema: { type: 'object', properties: {} } };
const FULL = { temperature: 0.2, maxOutputTokens: 99, responseSchema: SCHEMA };

/** Refuses requests of which `refuses` says so, with these words. */
function refusing(refuses: (body: Asked['body']) => string | null, status = 400): Answer {
  return (response, asked) => {
    const words = refuses(asked.body);
    return (words === null ? says('{"ok":true}') : fails(status, { error: { message: words } }))(response, asked);
  };
}

describe('endpoints that refuse a parameter', () => {
  let server: ModelServer;
  beforeAll(async () => {
    server = await ModelServer.start();
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });
  afterAll(() => server.stop());
  const gateway = (more: Record<string, string> = {}, learnt = new LearntInMemory()) =>
    createLlm({ LLM_BASE_URL: server.url, ...more }, { learnt });
  const has = (key: string) => (body: Asked['body']) => key in body;

  it.each<[string, string, (words: Asked['body']) => boolean]>([
    ['max_tokens', "Unsupported parameter: 'max_tokens' is not supported with this model.", has('max_tokens')],
    ['temperature', "Unsupported value: 'temperature' does not support 0.2, only 1 is supported.", has('temperature')],
    ['stream_options', 'unknown field "stream_options"', has('stream_options')],
    ['response_format', 'This response_format type is unavailable now', has('response_format')],
    ['response_format', 'Guided decoding is not enabled on this server', has('response_format')],
    ['response_format', 'json mode is not available', has('response_format')],
    ['response_format', 'Something about your request is odd', has('response_format')],
    ['temperature', 'invalid argument', has('temperature')],
    ['max_tokens', '1 validation error', (body) => 'max_tokens' in body || 'max_completion_tokens' in body],
    ['stream_options', 'Extra inputs are not permitted', has('stream_options')],
  ])('%s are asked without it, and from then on: %s', async (parameter, words, refuses) => {
    for (const status of [400, 422]) {
      server.willAnswer(refusing((body) => (refuses(body) ? words : null), status));
      const { service, learnt } = gateway();
      expect((await service.call(['m'], callOf(FULL))).text).toBe('{"ok":true}');
      expect(learnt.rows.map((row) => row.parameter)).toEqual([parameter]);
      const before = server.asked.length;
      await service.call(['m'], callOf(FULL));
      expect(server.asked).toHaveLength(before + 1);
      const last = server.asked.at(-1)?.body ?? {};
      expect(refuses(last)).toBe(false);
      const others = ['temperature', 'stream_options', 'response_format'].filter((key) => key !== parameter);
      expect(others.every((key) => key in last)).toBe(true);
    }
  });

  it('max_tokens goes by its other name where that is what is wanted', async () => {
    const words = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
    server.willAnswer(refusing((body) => ('max_tokens' in body ? words : null)));
    const { service, learnt } = gateway();
    await service.call(['m'], callOf({ maxOutputTokens: 99 }));
    expect(server.asked.map(({ body }) => [body.max_tokens, body.max_completion_tokens])).toEqual([
      [99, undefined],
      [undefined, 99],
    ]);
    expect(learnt.rows).toMatchObject([{ parameter: 'max_tokens', instead: 'max_completion_tokens' }]);
  });

  it('several parameters are left out one after the other', async () => {
    server.willAnswer(
      refusing((body) =>
        'max_tokens' in body
          ? 'max_tokens: use max_completion_tokens'
          : (['temperature', 'stream_options', 'response_format'].find((key) => key in body) ?? null),
      ),
    );
    const { service, learnt } = gateway();
    await service.call(['m'], callOf(FULL));
    expect(learnt.rows.map(({ parameter }) => parameter)).toEqual([
      'max_tokens',
      'temperature',
      'stream_options',
      'response_format',
    ]);
    expect(server.asked.at(-1)?.body.max_completion_tokens).toBe(99);
  });

  it('a refusal inside a 200 counts as one', async () => {
    const refusal = event({ error: { message: 'temperature is not supported', code: 400 } });
    server.willAnswer(streams(refusal), says('x'));
    const { service, learnt } = gateway();
    await service.call(['m'], callOf({ temperature: 1.5 }));
    expect(learnt.rows).toMatchObject([{ provider: 'gateway', model: 'm', parameter: 'temperature', instead: null }]);
  });

  it.each([
    ['of another status', 500, "'temperature' is not supported"],
    ['of another cause', 400, 'This model’s maximum context length is exceeded'],
    ['of the key', 401, 'temperature'],
  ])('nothing is tried for a failure %s', async (_, status, words) => {
    server.willAnswer(fails(status, { error: { message: words } }));
    const { service, learnt } = gateway();
    await failureOf(service.call(['m'], callOf({ temperature: 1 })));
    expect([server.asked.length, learnt.rows]).toEqual([1, []]);
  });

  it('nothing is learnt where leaving it out does not help, the first words are told, and it is not tried again at once', async () => {
    server.willAnswer(fails(400, { error: { message: "messages: 'temperature' of the weather is missing" } }));
    const { service, learnt } = gateway();
    const failure = await failureOf(service.call(['m'], callOf({ temperature: 1 })));
    expect(failure.message).toContain('answered with status 400: messages:');
    expect([server.asked.length, learnt.rows]).toEqual([2, []]);
    await failureOf(service.call(['m'], callOf({ temperature: 1 })));
    expect(server.asked).toHaveLength(3);
  });

  it('tools are never left out', async () => {
    server.willAnswer(refusing((body) => ('tools' in body ? 'This model does not support tools' : null)));
    const { service, learnt } = gateway();
    await failureOf(service.call(['m'], callOf({ tools: [TOOL], temperature: 1 })));
    expect(server.asked.every(({ body }) => 'tools' in body)).toBe(true);
    expect(learnt.rows).toEqual([]);
  });

  it('a schema beside tools is left out there alone, though the operator said that it is taken', async () => {
    server.willAnswer(
      refusing((body) => ('tools' in body && 'response_format' in body ? 'Cannot use a grammar with tools' : null)),
    );
    const { service, learnt, capabilities } = gateway({ MODEL_OPTIONS: '{"m":{"response_format_with_tools":true}}' });
    const beside = callOf({ tools: [TOOL], responseSchema: SCHEMA });
    await service.call(['m'], beside);
    await service.call(['m'], beside);
    await service.call(['m'], callOf({ responseSchema: SCHEMA }));
    expect(server.asked.map(({ body }) => 'response_format' in body)).toEqual([true, false, false, true]);
    expect(server.asked.map(({ body }) => 'tools' in body)).toEqual([true, true, true, false]);
    expect(learnt.rows).toMatchObject([{ parameter: 'response_format_with_tools', instead: null }]);
    await capabilities.forget(null);
    await service.call(['m'], beside);
    expect(server.asked).toHaveLength(6);
  });

  it('what one replica learnt others know, until it is forgotten', async () => {
    server.willAnswer(refusing((body) => ('temperature' in body ? 'temperature' : null)));
    const learnt = new LearntInMemory();
    const first = gateway({}, learnt);
    await first.service.call(['m'], callOf({ temperature: 1 }));
    const other = gateway({}, learnt);
    await other.service.call(['m'], callOf({ temperature: 1 }));
    expect(server.asked).toHaveLength(3);
    await other.service.call(['n'], callOf({ temperature: 1 }));
    expect(server.asked).toHaveLength(5);
    await other.capabilities.forget(null);
    await other.service.call(['m'], callOf({ temperature: 1 }));
    expect(server.asked).toHaveLength(7);
  });

  it('MODEL_OPTIONS goes before everything that is learnt, by provider, id and address', async () => {
    server.willAnswer(says('{"ok":true}'));
    const options = {
      gateway: { temperature: false, stream_options: false },
      m: { temperature: true, max_tokens: 'max_completion_tokens' },
      'gateway/m': { response_format: false },
    };
    const { service } = gateway({ MODEL_OPTIONS: JSON.stringify(options) });
    await service.call(['m'], callOf(FULL));
    const body = server.asked[0]?.body ?? {};
    expect(body).toMatchObject({ temperature: 0.2, max_completion_tokens: 99 });
    expect(Object.keys(body)).not.toEqual(expect.arrayContaining(['stream_options']));
    expect('response_format' in body || 'max_tokens' in body).toBe(false);
    server.willAnswer(fails(400, { error: { message: 'temperature' } }));
    await failureOf(service.call(['m'], callOf(FULL)));
    expect(server.asked).toHaveLength(1);
  });

  it('before an answer loses its limit, its caller is asked what that may cost', async () => {
    server.willAnswer(refusing((body) => ('max_tokens' in body ? 'max_tokens is too large' : null)));
    const { service } = gateway({
      MODEL_OPTIONS: '{"m":{"max_output":1000}}',
      MODEL_PRICES: '{"m":{"input":0,"output":1}}',
    });
    const costs: (number | null)[] = [];
    const call = callOf({ maxOutputTokens: 10 });
    call.beforeModel = (model, request) => void costs.push(service.worstCaseCostUsd(model, { ...call, ...request }));
    await service.call(['m'], call);
    expect(costs).toEqual([10 / 1e6, 1_000 / 1e6]);
    expect(service.worstCaseCostUsd('m', call)).toBe(1_000 / 1e6);
  });

  it('an answer without limit costs what its model could say at the most, or nobody knows', () => {
    const { service } = gateway({
      MODEL_OPTIONS: '{"w":{"context_window":500}}',
      MODEL_PRICES: '{"w":{"input":0,"output":1},"x":{"input":0,"output":1}}',
    });
    expect(service.worstCaseCostUsd('w', callOf())).toBeCloseTo(483 / 1e6, 5);
    expect(service.worstCaseCostUsd('x', callOf())).toBeNull();
    expect(service.worstCaseCostUsd('gpt-4o', callOf())).toBeGreaterThan(1);
  });
});
