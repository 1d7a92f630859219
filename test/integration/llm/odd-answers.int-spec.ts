import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { Logger } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { callOf, createLlm, failureOf } from './llm-setup.js';
import { chunk, event, fails, ModelServer, streams, USAGE, type Answer } from '../../support/model-server.js';

const TOOL = { name: 'read_file', description: 'Reads', inputSchema: { type: 'object', properties: {} } };
const DONE = event('[DONE]');
const HI = chunk({ content: 'Hi' });
const STOP = chunk({}, 'stop');

/** The chunks of one answer. */
const ROW = [
  { delta: { content: 'H' } },
  { delta: { content: 'i' }, finish_reason: null },
  { delta: {}, finish_reason: 'eos' },
].map((choice) => JSON.stringify({ choices: [choice] }));

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
    [
      'numbers that JSON does not have',
      [HI, 'data: {"choices":[],"usage":{"cost":NaN,"x":-Infinity}}\n\n', STOP, DONE],
    ],
    ['a ping that is no JSON but looks like it', [HI, "data: {'type': 'ping'}\n\n", 'data: {ping}\n\n', STOP, DONE]],
    ['no blank lines between its events', [`${HI.trimEnd()}\n${STOP.trimEnd()}\n${DONE}`]],
    ['a prefix that is given twice', [`data: ${HI}`, `data: ${STOP}`, DONE]],
    ['blanks before its fields', [` ${HI}`, ` ${STOP}`, DONE]],
    ['fields in capitals', [HI.replace('data', 'Data'), STOP.replace('data', 'DATA'), DONE]],
    ['chunks that were encoded twice', [event(JSON.stringify(HI.slice(6).trim())), STOP, DONE]],
    ['an end mark in small letters', [HI, event('[done]')]],
    ['an end mark of JSON', [HI, event('"[DONE]"')]],
    ['an event for its end', [HI, 'event: done\ndata: {}\n\n']],
    ['a text in the place of a delta', [event({ choices: [{ delta: 'Hi', finish_reason: 'stop' }] }), DONE]],
    ['content as an object', [chunk({ content: { text: 'Hi' } }), STOP]],
    ['content as a list of lists', [chunk({ content: [[{ type: 'text', text: 'Hi' }]] }), STOP]],
    ['its end as an object', [HI, event({ choices: [{ delta: {}, finish_reason: { type: 'stop' } }] })]],
    ['its end as a list', [HI, event({ choices: [{ delta: {}, finish_reason: ['stop'] }] })]],
    ['its end as a number', [HI, event({ choices: [{ delta: {}, finish_reason: 1 }] })]],
    ['its end beside the choices', [HI, event({ choices: [], finish_reason: 'stop' })]],
    ['its end in the delta', [HI, event({ choices: [{ delta: { finish_reason: 'stop' } }] })]],
    ['its end by another name', [HI, event({ choices: [{ delta: {}, stop_reason: 'end_turn' }] })]],
    ['its end in details', [HI, event({ choices: [{ delta: {}, finish_details: { type: 'stop' } }] })]],
    [
      'choices that are wrapped',
      [event({ code: 0, msg: 'ok', data: { choices: [{ delta: { content: 'Hi' } }] } }), STOP],
    ],
  ])('streamed, %s cost nothing', async (_, pieces) => {
    const answer = await ask(streams(...pieces));
    expect(answer).toMatchObject({ text: 'Hi', finishReason: 'stop' });
    expect(answer).not.toHaveProperty('returned');
  });

  it.each([
    ['a filter', [{ promptFeedback: { blockReason: 'SAFETY' }, choices: [] }], 'content-filter'],
    [
      'a cut that a normal end follows',
      [{ choices: [{ finish_reason: 'length' }] }, { choices: [{ finish_reason: 'stop' }] }],
      'length',
    ],
  ])('%s is no normal end', async (_, parts, end) => {
    expect((await ask(streams(...parts.map(event), DONE))).finishReason).toBe(end);
    expect((await ask(fails(200, parts), 'false')).finishReason).toBe(end);
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

  it('a row of chunks that breaks off, or that holds an error, is no answer', async () => {
    const rows = [
      ROW.slice(0, 2),
      [ROW[0], ROW[1]!.slice(0, 30)],
      [...ROW.slice(0, 2), '{"error":{"message":"out of luck"}}'],
    ];
    for (const row of rows) {
      server.willAnswer(fails(200, row.join('\n'), { 'content-type': 'application/x-ndjson' }));
      await failureOf(createLlm({ LLM_BASE_URL: server.url }).service.call(['m'], callOf()));
    }
  });

  it.each([
    ['an object', '{"verdict":"reject", "verdict":"pass"}'],
    ['a list', '[{"severity":"low","severity":"high"}]'],
    ['an object with line ends in its texts', '{"summary":"a\nb","a":{"b":1,"b":2}}'],
  ])('content that is %s keeps the keys that it gives twice', async (_, content) => {
    const answers: [string, string][] = [
      ['message', 'false'],
      ['delta', 'true'],
    ];
    for (const [place, streaming] of answers) {
      for (const [before, after] of [
        ['{"choices":[{"finish_reason":"stop",', '}]}'],
        ['{"data":{"choices":{"finish_reason":"stop",', '}}}'],
      ]) {
        const body = `${before}"${place}":{"content":1,"role":"assistant", "content" : ${content} }${after}`;
        const answer = await ask(fails(200, body), streaming);
        expect(answer.text).toBe(content);
      }
    }
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
    ['one chunk a line', ROW.join('\n'), 'stop'],
    ['one chunk a line, with an end mark and blank lines', `${ROW.join('\r\n\r\n')}\r\n[DONE]\r\n`, 'stop'],
    ['one chunk a line after a record separator', ROW.map((one) => `\u001e${one}\n`).join(''), 'stop'],
    ['one chunk behind the other', ROW.join(''), 'stop'],
    ['one chunk a line over many lines', ROW.map((one) => JSON.stringify(JSON.parse(one), null, 2)).join('\n'), 'stop'],
    ['an answer that was encoded twice', JSON.stringify(JSON.stringify({ choices: [{ text: 'Hi' }] })), 'stop'],
    ['an answer in a wrapper', '{"success":true,"errors":[],"result":{"choices":[{"text":"Hi"}]}}', 'stop'],
    ['an answer with bare numbers', '{"choices":[{"text":"Hi","logprobs":[-Infinity,NaN]}]}', 'stop'],
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
      [
        'a part of the content in its place',
        [chunk({ content: [{ type: 'tool_use', id: 'a', name: 'read_file', input: { a: 1 } }] })],
        ['{"a":1}'],
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
      ['numbers with separators', { usage: { prompt_tokens: '1,000', completion_tokens: ' 5e2 ' } }],
      ['a list', { usage: [USAGE] }],
      ['an object of its own', { usage: { tokens: { input_tokens: 1_000, output_tokens: 500 } } }],
      ['a total beside the prompt', { usage: { prompt_tokens: 1_000, total_tokens: 1_500 } }],
      ['a choice', { choices: [{ delta: {}, usage: USAGE }] }],
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
      ['in a message', { choices: [{ message: { error: { code: 401, message: 'out of luck' } } }] }, 'refused', 401],
      ['in a delta, as a text', { choices: [{ delta: { error: 'out of luck' } }] }, 'unavailable', undefined],
      ['as a list', { error: [{ message: 'out of luck', code: 403 }] }, 'refused', 403],
      ['as a number', { error: 429, message: 'out of luck' }, 'rate_limited', 429],
      ['as a name and words', { error: 'rate_limit', error_description: 'out of luck' }, 'rate_limited', 429],
      ['as a truth', { error: true, message: 'out of luck', code: 401 }, 'refused', 401],
      ['as a fault', { fault: { faultstring: 'out of luck' } }, 'unavailable', undefined],
      ['in capitals', { ErrorMessage: 'out of luck' }, 'unavailable', undefined],
      [
        'as words within words',
        { message: { detail: [{ loc: ['body'], msg: 'out of luck' }] } },
        'unavailable',
        undefined,
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
      ['a named event of another name', 'event: exception\ndata: {"message":"out of luck","code":500}\n\n'],
      ['a text', 'data: [ERROR] out of luck\n\n'],
      ['words', event({ detail: 'out of luck' })],
      ['a dictionary of Python', "data: {'error': 'out of luck'}\n\n"],
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

  describe('what chat templates leave in the text', () => {
    const inPieces = (text: string, size: number): Answer => {
      const pieces = text.match(new RegExp(`[\\s\\S]{1,${size}}`, 'g')) ?? [];
      return streams(...pieces.map((content) => chunk({ content })), STOP, DONE);
    };

    it.each([
      'Hi<|im_end|>',
      'Hi<|eot_id|>\n',
      'Hi<|im_end|>\n<|endoftext|>',
      'Hi</s>',
      'Hi<eos>',
      'Hi<end_of_turn>\n',
      'Hi<｜end▁of▁sentence｜>',
      '<|im_start|>assistant\nHi<|im_end|>',
      '<|channel|>final<|message|>Hi<|return|>',
      '<|start_header_id|>assistant<|end_header_id|>Hi<|eot_id|>',
      '<think>Hm</think>Hi<|im_end|>',
    ])('is taken off its ends, however it is cut: %j', async (text) => {
      for (const size of [1, 3, 1_000]) {
        const heard: string[] = [];
        const answer = await ask(inPieces(text, size), 'true', { onText: (delta) => heard.push(delta) });
        expect([answer.text, heard.join('')]).toEqual(['Hi', 'Hi']);
      }
      const body = { choices: [{ message: { content: text }, finish_reason: 'stop' }] };
      expect((await ask(fails(200, body), 'false')).text).toBe('Hi');
    });

    it.each([
      'It ends with `<|im_end|>`.',
      '<s>old</s>',
      'a <| b |>',
      'Hi<|',
      'x < y',
      'a[',
      'Hi<|im_end|> and on',
      'Write `</think>` last',
      'Write "</think>" last',
      'Between <think> and </think> it thinks',
    ])('but %j is text', async (text) => {
      for (const size of [1, 1_000]) expect((await ask(inPieces(text, size))).text).toBe(text);
      const body = { choices: [{ message: { content: text }, finish_reason: 'stop' }] };
      expect((await ask(fails(200, body), 'false')).text).toBe(text);
    });

    it.each(['Hm.\n</think>\n\nHi', 'Hm</THINK>Hi', 'a < b[/THINK]Hi', 'Hm◁/think▷\nHi<|im_end|>'])(
      'and thoughts of which only the end is marked are none of the answer: %j',
      async (text) => {
        const body = { choices: [{ message: { content: text }, finish_reason: 'stop' }] };
        expect((await ask(fails(200, body), 'false')).text).toBe('Hi');
        expect((await ask(fails(200, body), 'true')).text).toBe('Hi');
        for (const size of [1, 1_000]) {
          const { service } = createLlm({ LLM_BASE_URL: server.url });
          for (const [model, isKept] of [
            ['deepseek-r1', true],
            ['m', false],
            ['m', true],
          ] as const) {
            server.willAnswer(inPieces(text, size));
            const heard: string[] = [];
            const answer = await service.call([model], callOf({ onText: (delta) => heard.push(delta) }));
            expect([answer.text, heard.join('')]).toEqual(['Hi', isKept ? 'Hi' : expect.stringContaining('Hi')]);
            expect(JSON.stringify(answer.returned)).toMatch(/(Hm|a < b).*Hi"/);
          }
        }
      },
    );

    it('and a model that thinks elsewhere speaks at once, from then on too', async () => {
      let hear = (): void => undefined;
      const speaksOn =
        (...pieces: string[]): Answer =>
        async (response) => {
          const heard = new Promise<void>((resolve) => (hear = resolve));
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.write(pieces.join(''));
          await heard;
          response.end(STOP + DONE);
        };
      server.willAnswer(speaksOn(chunk({ reasoning_content: 'Hm' }), HI), speaksOn(HI));
      const { service } = createLlm({ LLM_BASE_URL: server.url });
      for (let calls = 0; calls < 2; calls += 1) {
        expect((await service.call(['qwq'], callOf({ onText: () => hear() }))).text).toBe('Hi');
      }
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

    it.each(['Use <think> as a tag.', '<thin ice', '<think>never ended', '<b>bold</b>', '<think x>Hi'])(
      'but %j is an answer',
      async (text) => {
        expect((await ask(streams(...text.split('').map((content) => chunk({ content })), STOP, DONE))).text).toBe(
          text,
        );
      },
    );
  });
});
