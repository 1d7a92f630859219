import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { Logger } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { callOf, createLlm, failureOf } from './llm-setup.js';
import { chunk, event, fails, ModelServer, streams, USAGE, type Answer } from '../../support/model-server.js';

const TOOL = { name: 'read_file', description: 'Reads', inputSchema: { type: 'object', properties: {} } };
const DONE = event('[DONE]');
const HI = chunk({ content: 'Hi' });
const STOP = chunk({}, 'stop');

/** A piece of a tool call as one delta. */
const call = (piece: Record<string, unknown>): string => chunk({ tool_calls: [piece] });
const named = (args: unknown, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  index: 0,
  id: 'a',
  type: 'function',
  function: { name: 'read_file', arguments: args },
  ...more,
});

describe('answers of endpoints that make something else of the format', () => {
  let server: ModelServer;
  beforeAll(async () => {
    server = await ModelServer.start();
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });
  afterAll(() => server.stop());
  const ask = (answer: Answer, streaming = 'true', more: Parameters<typeof callOf>[0] = {}) => {
    server.willAnswer(answer);
    return createLlm({ LLM_BASE_URL: server.url, LLM_STREAMING: streaming }).service.call(['m'], callOf(more));
  };

  it.each<[string, string[]]>([
    ['choices that are null', [HI, event({ choices: null, usage: USAGE }), STOP, DONE]],
    ['no choices', [HI, event({ id: 'u', usage: {} }), STOP, DONE]],
    ['choices of another kind', [event({ choices: 'none' }), HI, STOP, DONE]],
    ['one choice that is no list', [event({ choices: { delta: { content: 'Hi' }, finish_reason: 'stop' } }), DONE]],
    ['a choice that is null', [event({ choices: [null] }), HI, STOP, DONE]],
    ['a delta that is null', [HI, event({ choices: [{ delta: null, finish_reason: 'stop' }] }), DONE]],
    ['no delta at the end', [HI, event({ choices: [{ finish_reason: 'stop' }] }), DONE]],
    ['an event named ping', ['event: ping\ndata: {"type":"ping"}\n\n', HI, STOP, DONE]],
    ['a ping that is no JSON', [event('ping'), HI, 'data:\n\n', ': keep-alive\n\n', STOP, DONE]],
    ['a ping of JSON', [event({ status: 'ok' }), event(null), event(1), event([]), HI, STOP, DONE]],
    ['a cost report', [HI, STOP, event({ cost: { total: '0.1' }, choices: [] }), DONE]],
    ['a filter report first', [event({ choices: [], prompt_filter_results: [{ prompt_index: 0 }] }), HI, STOP, DONE]],
    ['a date in the place of a number', [chunk({ content: 'Hi' }, null, { created: '2026-01-01', id: 7 }), STOP, DONE]],
    ['a model and a fingerprint that are no text', [chunk({ content: 'Hi' }, 'stop', { model: {}, object: 1 }), DONE]],
    ['another role', [chunk({ role: 'model', content: 'Hi' }), STOP, DONE]],
    ['an empty finish reason until the end', [chunk({ content: 'Hi' }, ''), STOP, DONE]],
    ['a finish reason of null as text', [chunk({ content: 'Hi' }, 'null'), STOP, DONE]],
    ['an error that is null', [chunk({ content: 'Hi' }, null, { error: null }), STOP, DONE]],
    ['content as a list of parts', [chunk({ content: [{ type: 'text', text: 'H' }, { text: 'i' }] }), STOP, DONE]],
    ['whole messages', [event({ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] }), DONE]],
    ['the whole message once more at the end', [HI, event({ choices: [{ message: { content: 'Hi' } }] }), STOP, DONE]],
    ['texts in the place of deltas', [event({ choices: [{ text: 'Hi', finish_reason: 'stop' }] }), DONE]],
    ['no end mark', [HI, STOP]],
    ['no finish reason', [HI, DONE]],
    ['a finish reason that stays null', [HI, chunk({}, null), event({ choices: [], usage: USAGE }), DONE]],
    ['an end mark with blanks', [HI, 'data:  [DONE] \n\n']],
    ['no blank line at the end', [HI, STOP.trimEnd()]],
    ['no blank after the colon', [HI.replace('data: ', 'data:'), STOP.replace('data: ', 'data:'), DONE]],
    ['refusals and annotations that are null', [chunk({ content: 'Hi', refusal: null, annotations: [] }), STOP, DONE]],
    ['tool calls that are null', [chunk({ content: 'Hi', tool_calls: null }), STOP, DONE]],
  ])('streamed, %s cost nothing', async (_, pieces) => {
    expect(await ask(streams(...pieces))).toMatchObject({ text: 'Hi', finishReason: 'stop' });
  });

  const message = { role: 'assistant', content: 'Hi' };
  it.each<[string, unknown]>([
    ['a date in the place of a number', { created: '2026-01-01', choices: [{ message, finish_reason: 'stop' }] }],
    ['one choice that is no list', { choices: { message, finish_reason: 'stop' } }],
    ['no finish reason', { choices: [{ message }] }],
    ['usage as text', { choices: [{ message, finish_reason: 'stop' }], usage: 'none' }],
    ['an error that is null', { error: null, choices: [{ message, finish_reason: 'stop' }] }],
    ['another role', { choices: [{ message: { role: 'bot', content: 'Hi' }, finish_reason: 'eos' }] }],
    ['content as parts', { choices: [{ message: { content: [{ type: 'output_text', text: 'Hi' }] } }] }],
    ['a text', { choices: [{ text: 'Hi', finish_reason: 'stop' }] }],
    [
      'an extra choice',
      {
        choices: [
          { index: 0, message },
          { index: 1, message: { content: 'No' } },
        ],
      },
    ],
  ])('whole, %s costs nothing', async (_, body) => {
    expect(await ask(fails(200, body), 'false')).toMatchObject({ text: 'Hi', finishReason: 'stop' });
  });

  it('a whole answer serves where a stream was asked for, and a stream where a whole one was', async () => {
    const whole = { choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }], usage: USAGE };
    const usage = { inputTokens: 1_000, outputTokens: 500, estimated: false };
    expect(await ask(fails(200, whole))).toMatchObject({ text: 'Hi', usage });
    const stream = streams(HI, STOP, event({ choices: [], usage: USAGE }), DONE);
    expect(await ask(stream, 'false')).toMatchObject({ text: 'Hi', usage });
  });

  it('a stream whose header says something else is read as one', async () => {
    const answer: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.end(HI + STOP + DONE);
    };
    expect((await ask(answer)).text).toBe('Hi');
  });

  it.each<[string, string, string]>([
    ['a whole answer', JSON.stringify({ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] }), 'stop'],
    ['one over many lines', JSON.stringify({ choices: [{ text: 'Hi', finish_reason: 'stop' }] }, null, 2), 'stop'],
    [
      'a list of chunks',
      JSON.stringify([
        { choices: [{ delta: { content: 'H' } }] },
        { choices: [{ delta: { content: 'i' }, finish_reason: 'eos' }] },
      ]),
      'stop',
    ],
  ])('%s is read as what it is, whatever its header says and whichever was asked for', async (_, body, end) => {
    for (const streaming of ['true', 'false']) {
      for (const type of ['text/event-stream', 'application/json']) {
        const answer: Answer = (response) => {
          response.writeHead(200, { 'content-type': type });
          response.end(body);
        };
        expect(await ask(answer, streaming)).toMatchObject({ text: 'Hi', finishReason: end });
      }
    }
  });

  it.each<[string, (text: string) => Buffer]>([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('an answer that was compressed by %s, unasked, is unpacked', async (encoding, pack) => {
    const whole = JSON.stringify({ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] });
    for (const [type, body, streaming] of [
      ['text/event-stream', HI + STOP + DONE, 'true'],
      ['application/json', whole, 'false'],
    ] as const) {
      const answer: Answer = (response) => {
        response.writeHead(200, { 'content-type': type, 'content-encoding': encoding });
        response.end(pack(body));
      };
      expect((await ask(answer, streaming)).text).toBe('Hi');
    }
    expect(server.asked[0]?.headers['accept-encoding']).toBe('identity');
  });

  it.each<[string, string]>([
    ['by CRLF', '\r\n'],
    ['by CR', '\r'],
  ])('a stream whose lines end %s, after a byte order mark, is read', async (_, end) => {
    expect((await ask(streams(`\uFEFF${(HI + STOP + DONE).replaceAll('\n', end)}`))).text).toBe('Hi');
  });

  it.each(['stop', 'eos', ''])('what a model refuses with is no answer, though it ends with %j', async (end) => {
    const message = { content: null, refusal: 'I cannot do that.' };
    for (const [streaming, answer] of [
      ['true', streams(chunk(message), chunk({}, end), DONE)],
      ['false', fails(200, { choices: [{ message, finish_reason: end }] })],
    ] as const) {
      expect(await ask(answer, streaming)).toMatchObject({ finishReason: 'content-filter', finishName: 'refusal' });
    }
  });

  it('an answer without any end broke off', async () => {
    server.willAnswer(streams(HI));
    const failure = await failureOf(createLlm({ LLM_BASE_URL: server.url }).service.call(['m'], callOf()));
    expect(failure.message).toContain('broke off in mid-answer');
  });

  it('an answer that was ended is whole, also if the connection breaks or stays open after it', async () => {
    const breaks: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(HI + STOP, () => response.destroy());
    };
    expect((await ask(breaks)).text).toBe('Hi');
    const staysOpen: Answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(HI + DONE);
    };
    expect((await ask(staysOpen)).text).toBe('Hi');
  });

  describe('tool calls', () => {
    it.each<[string, string[], string[]]>([
      ['arguments as an object', [call(named({ path: 'x' }))], ['{"path":"x"}']],
      ['an index as text', [call(named('{"path":"x"}', { index: '0' }))], ['{"path":"x"}']],
      ['no index', [call(named('{"path":"x"}', { index: undefined }))], ['{"path":"x"}']],
      ['no id', [call(named('{}', { id: undefined }))], ['{}']],
      ['an id that is a number', [call(named('{}', { id: 7 }))], ['{}']],
      [
        'an id that is null later on',
        [call(named('{"a')), call({ index: 0, id: null, function: { arguments: '":1}' } })],
        ['{"a":1}'],
      ],
      ['the name with every piece', [call(named('{"a"')), call(named(':1')), call(named('}'))], ['{"a":1}']],
      ['another id with every piece', [call(named('{"a"')), call(named(':1}', { id: 'b' }))], ['{"a":1}']],
      [
        'empty names later on',
        [call(named('{"a"')), call({ index: 0, id: '', function: { name: '', arguments: ':1}' } })],
        ['{"a":1}'],
      ],
      ['a name that comes later', [call({ index: 0, id: 'a', function: {} }), call(named('{}'))], ['{}']],
      [
        'empty arguments before the real ones',
        [call(named('{}')), call({ index: 0, function: { arguments: '{"a":1}' } })],
        ['{"a":1}'],
      ],
      ['no arguments', [call(named(null)), call(named(undefined, { index: 1, id: 'b' }))], ['', '']],
      [
        'two calls with one number',
        [call(named('{"a":1}')), call(named('{"a":2}', { id: 'b' }))],
        ['{"a":1}', '{"a":2}'],
      ],
      [
        'two calls without number and id',
        [
          call(named('{"a":1}', { id: undefined, index: undefined })),
          call(named('{"a":2}', { id: undefined, index: undefined })),
        ],
        ['{"a":1}', '{"a":2}'],
      ],
      [
        'pieces that take turns',
        [
          call(named('{"a"')),
          call(named('{"b"', { index: 1, id: 'b' })),
          call({ index: 0, function: { arguments: ':1}' } }),
          call({ index: 1, function: { arguments: ':2}' } }),
        ],
        ['{"a":1}', '{"b":2}'],
      ],
      ['a call that is no list', [chunk({ tool_calls: named('{}') })], ['{}']],
      ['calls as text', [chunk({ tool_calls: JSON.stringify([named('{}')]) })], ['{}']],
      [
        'calls by number',
        [chunk({ tool_calls: { 0: named('{"a":1}'), 1: named('{}', { id: 'b' }) } })],
        ['{"a":1}', '{}'],
      ],
      ['the name alone as its function', [call({ index: 0, id: 'a', function: 'read_file', arguments: '{}' })], ['{}']],
      [
        'arguments by a shorter name',
        [call({ index: 0, function: { name: 'read_file', args: { a: 1 } } })],
        ['{"a":1}'],
      ],
      [
        'a namespace before its name',
        [call(named('{}', { function: { name: 'functions.read_file:0', arguments: '{}' } }))],
        ['{}'],
      ],
      [
        'chat tokens behind its name',
        [call(named('{}', { function: { name: 'read_file<|channel|>json', arguments: '{}' } }))],
        ['{}'],
      ],
      ['a call of the older kind', [chunk({ function_call: { name: 'read_file', arguments: '{}' } })], ['{}']],
    ])('with %s are understood', async (_, pieces, args) => {
      const answer = await ask(streams(...pieces, chunk({}, 'tool_calls'), DONE), 'true', { tools: [TOOL] });
      expect(answer.toolCalls.map((one) => [one.name, one.arguments])).toEqual(args.map((text) => ['read_file', text]));
      expect(new Set(answer.toolCalls.map(({ id }) => id)).size).toBe(args.length);
      expect(answer.finishReason).toBe('tool-calls');
    });

    it('whole ones are understood in the same forms', async () => {
      const calls = [named({ path: 'x' }, { index: undefined, id: null }), named('{}', { id: 'b' })];
      const body = { choices: [{ message: { content: null, tool_calls: calls }, finish_reason: 'stop' }] };
      const answer = await ask(fails(200, body), 'false', { tools: [TOOL] });
      expect(answer.toolCalls.map((one) => one.arguments)).toEqual(['{"path":"x"}', '{}']);
      expect(answer.finishReason).toBe('tool-calls');
    });
  });

  describe('usage', () => {
    it.each<[string, ...Record<string, unknown>[]]>([
      ['numbers as text', { usage: { prompt_tokens: '1000', completion_tokens: '500' } }],
      ['a text of JSON', { usage: JSON.stringify(USAGE) }],
      ['other names', { usage: { input_tokens: 1_000, output_tokens: 500 } }],
      ['null details', { usage: { ...USAGE, prompt_tokens_details: null, completion_tokens_details: null } }],
      ['zeros that follow', { usage: USAGE, choices: null }, { usage: { prompt_tokens: 0, completion_tokens: 0 } }],
      ['counts that grow', { usage: { prompt_tokens: 1_000, completion_tokens: 7 } }, { usage: USAGE }],
      ['a place of its own', { x_groq: { id: 'r', usage: USAGE } }],
      ['the timings of a local server', { timings: { prompt_n: 1_000, predicted_n: 500 } }],
    ])('in %s is counted', async (_, ...parts) => {
      const { usage } = await ask(streams(HI, STOP, ...parts.map((more) => event({ choices: [], ...more })), DONE));
      expect(usage).toEqual({ inputTokens: 1_000, outputTokens: 500, estimated: false });
    });

    it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
      ['OpenAI', { prompt_tokens_details: { cached_tokens: 600 } }, { cachedInputTokens: 600 }],
      ['DeepSeek', { prompt_cache_hit_tokens: 600, prompt_cache_miss_tokens: 400 }, { cachedInputTokens: 600 }],
      ['Moonshot', { cached_tokens: 600 }, { cachedInputTokens: 600 }],
      [
        'LiteLLM',
        { cache_read_input_tokens: 600, cache_creation_input_tokens: 300, prompt_tokens_details: { cached_tokens: 0 } },
        { cachedInputTokens: 600, cacheWriteTokens: 300 },
      ],
      [
        'OpenRouter',
        { prompt_tokens_details: { cached_tokens: 600, cache_write_tokens: 300 } },
        { cachedInputTokens: 600, cacheWriteTokens: 300 },
      ],
    ])('of a cache is read as %s tells it', async (_, more, cached) => {
      for (const streaming of ['true', 'false']) {
        const usage = { ...USAGE, ...more };
        const whole = { choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }], usage };
        const answer =
          streaming === 'true' ? streams(HI, STOP, event({ choices: [], usage }), DONE) : fails(200, whole);
        expect((await ask(answer, streaming)).usage).toEqual({
          inputTokens: 1_000,
          outputTokens: 500,
          ...cached,
          estimated: false,
        });
      }
    });

    it('that no answer can have is not believed', async () => {
      const usage = { prompt_tokens: -5, completion_tokens: 1e18 };
      expect((await ask(streams(HI, STOP, event({ choices: [], usage }), DONE))).usage.estimated).toBe(true);
    });
  });

  describe('an error inside a 200', () => {
    it.each<[string, Record<string, unknown> | unknown[], string, number | undefined]>([
      ['as OpenAI tells it', { error: { message: 'out of luck', type: 'server_error' } }, 'unavailable', undefined],
      ['as a text', { error: 'out of luck' }, 'unavailable', undefined],
      ['with a code', { error: { message: 'out of luck', code: 429 } }, 'rate_limited', 429],
      ['with a code as text', { error: { message: 'out of luck', code: '503' } }, 'cooling', 503],
      ['with a name', { error: { message: 'out of luck', code: 'rate_limit_exceeded' } }, 'rate_limited', 429],
      [
        'as Google tells it',
        [{ error: { message: 'out of luck', status: 'RESOURCE_EXHAUSTED' } }],
        'rate_limited',
        429,
      ],
      [
        'as Anthropic tells it',
        { type: 'error', error: { type: 'overloaded_error', message: 'out of luck' } },
        'cooling',
        529,
      ],
      ['as vLLM told it', { object: 'error', message: 'out of luck', code: 401 }, 'refused', 401],
      ['as FastAPI tells it', { detail: 'out of luck', status: 403 }, 'refused', 403],
      [
        'in a choice',
        { choices: [{ finish_reason: 'error', error: { code: 401, message: 'out of luck' } }] },
        'refused',
        401,
      ],
      ['in a list', { success: false, errors: [{ code: 7003, message: 'out of luck' }] }, 'unavailable', undefined],
      ['as a code and words', { code: '1305', msg: 'out of luck' }, 'unavailable', undefined],
      [
        'as MiniMax tells it',
        { base_resp: { status_code: 1008, status_msg: 'out of luck' } },
        'unavailable',
        undefined,
      ],
    ])('%s keeps its words and its meaning', async (_, body, kind, statusCode) => {
      for (const streaming of ['true', 'false']) {
        const { service } = createLlm({ LLM_BASE_URL: server.url, LLM_STREAMING: streaming });
        server.willAnswer(streaming === 'true' ? streams(event(body), DONE) : fails(200, body));
        const failure = await failureOf(service.call(['m'], callOf()));
        expect(failure).toMatchObject({ kind, message: expect.stringContaining('out of luck') });
        expect(failure.details.statusCode).toBe(statusCode);
      }
    });

    it.each<[string, string, string]>([
      ['JSON', 'text/event-stream', JSON.stringify({ error: { message: 'out of luck' } })],
      ['plain text', 'text/plain', 'out of luck'],
    ])('as %s of its own in the place of an answer keeps its words', async (_, type, body) => {
      for (const streaming of ['true', 'false']) {
        server.willAnswer((response) => {
          response.writeHead(200, { 'content-type': type });
          response.end(body);
        });
        const { service } = createLlm({ LLM_BASE_URL: server.url, LLM_STREAMING: streaming });
        expect((await failureOf(service.call(['m'], callOf()))).message).toContain('out of luck');
      }
    });

    it.each<[string, string]>([
      ['a named event', 'event: error\ndata: {"message":"out of luck","code":500}\n\n'],
      ['a named event of plain text', 'event: error\ndata: out of luck\n\n'],
      ['a field of its own', 'error: {"code":500,"message":"out of luck","type":"server_error"}\n\n'],
      [
        'a choice beside it',
        event({ error: { message: 'out of luck' }, choices: [{ delta: {}, finish_reason: 'error' }] }),
      ],
    ])('in a stream, as %s, ends the answer', async (_, piece) => {
      server.willAnswer(streams(HI, piece));
      const failure = await failureOf(createLlm({ LLM_BASE_URL: server.url }).service.call(['m'], callOf()));
      expect(failure).toMatchObject({ kind: 'unavailable', message: expect.stringContaining('out of luck') });
    });

    it('shows no secret that it repeats', async () => {
      const message = 'Invalid key sk-canary-9f8e7d6c5b4a and Bearer canary-abcdefgh and my-gateway-canary';
      server.willAnswer(streams(event({ error: { message } })));
      const { service } = createLlm({ LLM_BASE_URL: server.url, LLM_API_KEY: 'my-gateway-canary' });
      const failure = await failureOf(service.call(['m'], callOf()));
      expect(failure.message).toContain('Invalid key [redacted]');
      expect(failure.message).not.toContain('canary');
    });
  });

  describe('thoughts in the text', () => {
    it.each([
      ['<think>Let me see.</think>\n\nHi'],
      ['\n<think>\n</think>Hi'],
      ['<think>a < b </thin </think>Hi'],
      ['[THINK]Let me see.[/THINK]Hi'],
      ['◁think▷Let me see.◁/think▷Hi'],
      ['<Think>Let me see.</THINK>Hi'],
      ['<thinking>Let me see.</thinking>\nHi'],
      ['<think>Let me see.</think>\n<think>Once more.</think>\nHi'],
      ['<|start|>assistant<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Hi'],
      ['<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant<|channel|>final<|message|>Hi'],
    ])('%j are none of the answer, however they are cut', async (text) => {
      for (const size of [1, 3, 1_000]) {
        const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
          chunk({ content: text.slice(at * size, (at + 1) * size) }),
        );
        const heard: string[] = [];
        const answer = await ask(streams(...pieces, STOP, DONE), 'true', { onText: (delta) => heard.push(delta) });
        expect([answer.text, heard.join('')]).toEqual(['Hi', 'Hi']);
      }
      const body = { choices: [{ message: { content: text }, finish_reason: 'stop' }] };
      expect((await ask(fails(200, body), 'false')).text).toBe('Hi');
    });

    it('in parts of other names are none of the answer', async () => {
      for (const part of [
        { type: 'reasoning_text', text: 'Hm' },
        { type: 'redacted_thinking', data: 'c2VhbGVk' },
      ]) {
        expect((await ask(streams(chunk({ content: [part] }), HI, STOP, DONE))).text).toBe('Hi');
      }
    });

    it.each(['Use <think> as a tag.', '<thin ice', '<think>never ended', '<b>bold</b>', 'Hm</think>Hi', '<think x>Hi'])(
      'but %j is an answer',
      async (text) => {
        expect((await ask(streams(...text.split('').map((content) => chunk({ content })), STOP, DONE))).text).toBe(
          text,
        );
      },
    );
  });
});
