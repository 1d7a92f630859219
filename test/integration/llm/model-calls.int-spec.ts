import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLlm, callOf, failureOf } from './llm-setup.js';
import { answersWhole, chunk, END, event, fails, ModelServer, says, streams } from '../../support/model-server.js';

const TOOL = {
  name: 'read_file',
  description: 'Reads',
  inputSchema: { type: 'object', properties: { path: { type: 'string' } } },
};
const SCHEMA = {
  name: 'verdict',
  schema: { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] },
};
const PRICES = JSON.stringify({ m: { input: 2, output: 10 } });

describe('calls to models', () => {
  let server: ModelServer;
  let other: ModelServer;
  beforeAll(async () => {
    server = await ModelServer.start();
    other = await ModelServer.start();
  });
  afterAll(async () => {
    await server.stop();
    await other.stop();
  });
  const gateway = (more: Record<string, string> = {}): ReturnType<typeof createLlm>['service'] =>
    createLlm({ LLM_BASE_URL: server.url, LLM_API_KEY: 'gateway-key-1', MODEL_PRICES: PRICES, ...more }).service;

  it('streams text, and counts and prices it', async () => {
    server.willAnswer(says('Hel', 'lo'));
    const heard: string[] = [];
    const answer = await gateway().call(
      ['m'],
      callOf({ temperature: 0.2, maxOutputTokens: 99, onText: (delta) => heard.push(delta) }),
    );
    expect(answer).toEqual({
      model: 'm',
      text: 'Hello',
      toolCalls: [],
      finishReason: 'stop',
      usage: { inputTokens: 1_000, outputTokens: 500, estimated: false },
      costUsd: 0.007,
    });
    expect(heard).toEqual(['Hel', 'lo']);
    expect(server.asked[0]).toMatchObject({
      path: '/v1/chat/completions',
      headers: { authorization: 'Bearer gateway-key-1' },
      body: { model: 'm', stream: true, stream_options: { include_usage: true }, temperature: 0.2, max_tokens: 99 },
    });
  });

  it('asks for a whole answer where streaming is off', async () => {
    server.willAnswer(answersWhole({ content: 'Hello' }));
    const heard: string[] = [];
    const answer = await gateway({ LLM_STREAMING: 'false' }).call(
      ['m'],
      callOf({ onText: (delta) => heard.push(delta) }),
    );
    expect(answer).toMatchObject({ text: 'Hello', finishReason: 'stop', costUsd: 0.007 });
    expect(heard).toEqual(['Hello']);
    expect(server.asked[0]?.body.stream).toBeUndefined();
  });

  it('gives an id with slashes to the gateway unchanged', async () => {
    server.willAnswer(says('x'));
    await gateway().call(['meta/llama/3'], callOf());
    await gateway().call(['gateway/script/demo'], callOf());
    expect(server.asked.map(({ body }) => body.model)).toEqual(['meta/llama/3', 'script/demo']);
  });

  it('estimates what the provider did not count, and says so', async () => {
    server.willAnswer(streams(chunk({ content: 'Four' }), chunk({}, 'stop'), event('[DONE]')));
    const { usage, costUsd } = await gateway().call(['m'], callOf());
    expect(usage).toEqual({ inputTokens: expect.any(Number), outputTokens: 1, estimated: true });
    expect(usage.inputTokens).toBeGreaterThan(5);
    expect(costUsd).toBeCloseTo((usage.inputTokens * 2 + 10) / 1e6, 12);
  });

  it('has no cost where the price is not known', async () => {
    server.willAnswer(says('x'));
    expect((await gateway().call(['nobody-knows-it'], callOf())).costUsd).toBeNull();
  });

  describe('with tools', () => {
    const toolDelta = (index: number, id: string | undefined, args: string): string =>
      chunk({
        tool_calls: [{ index, ...(id && { id }), function: { ...(id && { name: 'read_file' }), arguments: args } }],
      });

    it('gathers the calls from their pieces', async () => {
      server.willAnswer(
        streams(
          toolDelta(0, 'a', '{"pa'),
          toolDelta(1, 'b', '{}'),
          toolDelta(0, undefined, 'th":"x"}'),
          chunk({}, 'tool_calls'),
        ),
      );
      const answer = await gateway().call(['m'], callOf({ tools: [TOOL] }));
      expect(answer).toMatchObject({
        text: '',
        finishReason: 'tool-calls',
        toolCalls: [
          { id: 'a', name: 'read_file', arguments: '{"path":"x"}' },
          { id: 'b', name: 'read_file', arguments: '{}' },
        ],
      });
      expect(server.asked[0]?.body).toMatchObject({
        tools: [{ type: 'function', function: { name: 'read_file' } }],
        tool_choice: 'auto',
      });
    });

    it('keeps arguments that are not JSON, and calls it tool-calls when the server calls it a stop', async () => {
      server.willAnswer(streams(toolDelta(0, 'a', 'path = x'), chunk({}, 'stop')));
      const answer = await gateway().call(['m'], callOf({ tools: [TOOL] }));
      expect(answer).toMatchObject({ finishReason: 'tool-calls', toolCalls: [{ arguments: 'path = x' }] });
    });

    it.each(['true', 'false'])('makes ids of calls unique (streaming: %s)', async (streaming) => {
      const calls = ['{"path":"1"}', '{"path":"2"}'].map((args, index) => ({
        index,
        id: 'same',
        function: { name: 'read_file', arguments: args },
      }));
      server.willAnswer(
        streaming === 'true'
          ? streams(chunk({ tool_calls: calls }), chunk({}, 'tool_calls'))
          : answersWhole({ content: null, tool_calls: calls }, {}),
      );
      const { toolCalls } = await gateway({ LLM_STREAMING: streaming }).call(['m'], callOf({ tools: [TOOL] }));
      expect(toolCalls.map((call) => call.arguments)).toEqual(['{"path":"1"}', '{"path":"2"}']);
      expect(new Set(toolCalls.map((call) => call.id)).size).toBe(2);
    });

    it('does not take announced calls that never came for an answer', async () => {
      server.willAnswer(streams(chunk({}, 'tool_calls')));
      expect((await failureOf(gateway().call(['m'], callOf({ tools: [TOOL] })))).kind).toBe('malformed');
    });
  });

  describe('text', () => {
    it('survives being cut anywhere', async () => {
      const whole = Buffer.from([chunk({ content: 'Grüße 👋🏽 日本' }), ...END].join(''));
      server.willAnswer(
        streams(...Array.from({ length: whole.length }, (_, index) => whole.subarray(index, index + 1))),
      );
      expect((await gateway().call(['m'], callOf())).text).toBe('Grüße 👋🏽 日本');
    });

    it('is made storable, and a character cut by a chunk border is kept', async () => {
      server.willAnswer(
        streams(
          'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n',
          'data: {"choices":[{"delta":{"content":"\\ude00b\\u0000c\\ud800"}}]}\n\n',
          ...END,
        ),
      );
      const heard: string[] = [];
      const { text } = await gateway().call(['m'], callOf({ onText: (delta) => heard.push(delta) }));
      expect(text).toBe('a😀b\uFFFDc\uFFFD');
      expect(heard.join('')).toBe(text);
    });

    it('passes comments, blank lines and a byte order mark over', async () => {
      server.willAnswer(
        streams('\uFEFF', ': thinking\n\n', '\n\n', chunk({ content: 'Hi' }).replaceAll('\n', '\r\n'), ...END),
      );
      expect((await gateway().call(['m'], callOf())).text).toBe('Hi');
    });
  });

  it.each(['length', 'content_filter'])('passes the finish reason %s on', async (reason) => {
    server.willAnswer(streams(chunk({ content: 'par' }), chunk({}, reason)));
    expect((await gateway().call(['m'], callOf())).finishReason).toBe(reason.replace('_', '-'));
  });

  it.each(['eos', 'eos_token', 'STOP', 'end_turn', 'COMPLETE'])('takes %s for a normal end', async (reason) => {
    for (const streaming of ['true', 'false']) {
      const whole = answersWhole({}, { choices: [{ message: { content: 'Hi' }, finish_reason: reason }] });
      server.willAnswer(streaming === 'true' ? streams(chunk({ content: 'Hi' }), chunk({}, reason)) : whole);
      const answer = await gateway({ LLM_STREAMING: streaming }).call(['m'], callOf());
      expect(answer).toMatchObject({ text: 'Hi', finishReason: 'stop' });
    }
  });

  it.each([
    ['MAX_TOKENS', 'length'],
    ['insufficient_system_resource', 'error'],
    ['PROHIBITED_CONTENT', 'content-filter'],
  ])('takes %s for a failure, and keeps the name', async (finishName, finishReason) => {
    server.willAnswer(streams(chunk({ content: 'par' }), chunk({}, finishName)));
    expect(await gateway().call(['m'], callOf())).toMatchObject({ finishReason, finishName });
  });

  describe('with a schema', () => {
    it('sends it as the provider wants it', async () => {
      server.willAnswer(says('{"ok":true}'));
      const { text } = await gateway().call(['m'], callOf({ responseSchema: SCHEMA }));
      expect(text).toBe('{"ok":true}');
      expect(server.asked[0]?.body.response_format).toMatchObject({
        type: 'json_schema',
        json_schema: { name: 'verdict', schema: SCHEMA.schema },
      });
    });

    it('writes it into the prompt where the endpoint refuses it, and remembers that', async () => {
      server.willAnswer(fails(400, { error: { message: "'response_format' is not supported" } }), says('{"ok":true}'));
      const llm = gateway();
      expect((await llm.call(['m'], callOf({ responseSchema: SCHEMA }))).text).toBe('{"ok":true}');
      await llm.call(['m'], callOf({ responseSchema: SCHEMA }));
      expect(server.asked.map(({ body }) => 'response_format' in body)).toEqual([true, false, false]);
      const messages = JSON.stringify(server.asked[1]?.body.messages);
      expect(messages).toContain('JSON Schema');
      expect(messages).toContain(JSON.stringify(JSON.stringify(SCHEMA.schema)).slice(1, -1));
    });

    it('takes no other refusal for one of the schema', async () => {
      server.willAnswer(fails(400, { error: { message: 'the prompt is too long' } }));
      expect(await failureOf(gateway().call(['m'], callOf({ responseSchema: SCHEMA })))).toMatchObject({
        kind: 'refused',
      });
      expect(server.asked).toHaveLength(1);
    });
  });

  describe('with fallbacks', () => {
    it('tries the next model while nothing was heard, and names the one that answered', async () => {
      server.willAnswer(fails(500), fails(404), says('third'));
      const answer = await gateway().call(['a', 'b', 'm'], callOf({ onText: () => undefined }));
      expect(answer).toMatchObject({ model: 'm', text: 'third' });
      expect(server.asked.map(({ body }) => body.model)).toEqual(['a', 'b', 'm']);
    });

    it('tries none once text was heard', async () => {
      server.willAnswer(streams(chunk({ content: 'Hel' })), says('never'));
      const heard: string[] = [];
      const failure = await failureOf(gateway().call(['a', 'm'], callOf({ onText: (delta) => heard.push(delta) })));
      expect(failure).toMatchObject({
        kind: 'malformed',
        details: { model: 'a', usage: { outputTokens: 1, estimated: true } },
      });
      expect([heard, server.asked.length]).toEqual([['Hel'], 1]);
    });

    it('tries the next one after half an answer that nobody listened to, and tells what was lost', async () => {
      server.willAnswer(streams(chunk({ content: 'Hel' })), says('whole'));
      const lost: unknown[] = [];
      const answer = await gateway().call(['a', 'm'], callOf({ onLost: (loss) => lost.push(loss) }));
      expect(answer.text).toBe('whole');
      expect(lost).toEqual([
        {
          model: 'a',
          usage: { inputTokens: expect.any(Number), outputTokens: 1, estimated: true },
          costUsd: null,
          text: 'Hel',
        },
      ]);
    });

    it('announces each model right before it is asked, and asks no further one when told not to', async () => {
      server.willAnswer(streams(chunk({ content: 'Hel' })), says('never'));
      const told: string[] = [];
      const refusal = new Error('too dear');
      const call = callOf({
        onLost: ({ model }) => told.push(`lost ${model}`),
        beforeModel: async (model) => {
          told.push(`before ${model}`);
          if (model === 'm') throw refusal;
        },
      });
      await expect(gateway().call(['script/nothing', 'a', 'm', 'b'], call)).rejects.toBe(refusal);
      expect(told).toEqual(['before a', 'lost a', 'before m']);
      expect(server.asked).toHaveLength(1);
    });

    it('passes models over that are not configured, and asks none twice', async () => {
      server.willAnswer(fails(500));
      const failure = await failureOf(gateway().call(['script/nothing', 'm', 'm'], callOf()));
      expect(failure).toMatchObject({ kind: 'unavailable', details: { model: 'm', statusCode: 500 } });
      expect(server.asked).toHaveLength(1);
    });
  });

  it('refuses what a provider has no way to express, without asking it', async () => {
    server.willAnswer(says('never'));
    const file = { type: 'file' as const, data: 'AAAA', mediaType: 'video/mp4' };
    const failure = await failureOf(gateway().call(['m'], callOf({ prompt: [{ role: 'user', content: [file] }] })));
    expect(failure).toMatchObject({ kind: 'refused', details: { model: 'm' } });
    expect(server.asked).toHaveLength(0);
  });

  it('ends with what the listener threw, and asks nobody else', async () => {
    server.willAnswer(streams(chunk({ content: 'Hel' })), says('never'));
    const fault = new Error('the reader is gone');
    const call = callOf({
      onText: () => {
        throw fault;
      },
    });
    await expect(gateway().call(['a', 'b'], call)).rejects.toBe(fault);
    expect(server.asked).toHaveLength(1);
  });

  it('says what is not configured', async () => {
    const { service } = createLlm({ GROQ_API_KEY: 'groq-key-12345' });
    expect(await failureOf(service.call([], callOf()))).toMatchObject({ kind: 'not_configured' });
    expect(await failureOf(service.call(['llama3'], callOf()))).toMatchObject({
      kind: 'not_configured',
      details: { model: 'llama3' },
    });
    const missing = await failureOf(service.call(['groq/llama'], callOf()));
    expect(missing).toMatchObject({ kind: 'not_configured', details: { provider: 'groq' } });
    expect(missing.message).toContain('@ai-sdk/groq');
  });

  it('works without a network on scripts, without cost', async () => {
    const { service } = createLlm({ LLM_BASE_URL: server.url });
    server.willAnswer(says('never'));
    const answer = await service.call(['script/echo'], callOf());
    expect(answer).toMatchObject({
      model: 'script/echo',
      text: '[scripted] You asked: Say hello.',
      costUsd: 0,
      usage: { estimated: true },
    });
    expect(server.asked).toHaveLength(0);
  });

  it('keeps two providers apart', async () => {
    server.willAnswer(says('from the gateway'));
    other.willAnswer(says('from ollama'));
    const { service } = createLlm({ LLM_BASE_URL: server.url, OLLAMA_BASE_URL: other.url.replace('/v1', '/') });
    expect((await service.call(['llama3'], callOf())).text).toBe('from the gateway');
    expect((await service.call(['ollama/llama3:8b'], callOf())).text).toBe('from ollama');
    expect(other.asked[0]).toMatchObject({ path: '/v1/chat/completions', body: { model: 'llama3:8b' } });
  });
});
