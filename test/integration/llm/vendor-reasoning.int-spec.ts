import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { ModelAttempts } from '../../../src/modules/llm/model-attempts.js';
import { createModelFetch } from '../../../src/modules/llm/model-fetch.js';
import { costOf } from '../../../src/modules/llm/model-prices.js';
import { DirectProvider } from '../../../src/modules/llm/providers/direct.provider.js';
import { runAgentLoop, type JournalEntry, type LoopJournal, type LoopTools } from '../../../src/modules/loop/index.js';
import { fails, ModelServer, streams, type Answer, type Asked } from '../../support/model-server.js';
import { createLlm, PROMPT } from './llm-setup.js';

type Json = Record<string, unknown>;

const PRICE = { input: 3, output: 15, cached_input: 0.3, cache_write: 3.75 };
const TOOLS: LoopTools = {
  registry: {
    offered: () => [{ name: 'look', description: 'Looks', inputSchema: { type: 'object', properties: {} } }],
    find: () => ({ name: 'look', group: 'files', writes: false, idempotent: true }),
    execute: () => Promise.resolve({ text: 'seen', isError: false }),
  },
  allowed: null,
  context: {} as LoopTools['context'],
};

/** Keeps its entries as PostgreSQL does: as JSON. */
function journal(recorded: JournalEntry[] = []): LoopJournal & { entries: JournalEntry[] } {
  const entries: JournalEntry[] = [];
  const keep = (entry: JournalEntry): Promise<void> => {
    entries.push(JSON.parse(JSON.stringify(entry)) as JournalEntry);
    return Promise.resolve();
  };
  return { recorded, entries, recordAnswer: keep, recordResult: keep, recordRepeat: keep };
}

const named = (event: Json): string => `event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`;

/** One vendor's answers as it streams them and as it sends them whole, and what it has to be sent again. */
interface Vendor {
  name: 'anthropic' | 'openai';
  id: string;
  url: string;
  streamed: (content: Json[], end: string) => string[];
  whole: (content: Json[], end: string) => Json;
  thought: Json[];
  done: Json[];
  /** The items of a request that stand for the first answer. */
  sentBack: (body: Json) => Json[];
  wanted: Json[];
}

const ANTHROPIC_USAGE = {
  input_tokens: 10,
  cache_read_input_tokens: 4,
  cache_creation_input_tokens: 2,
  output_tokens: 5,
};
const thinking = { type: 'thinking', thinking: 'Let me look.', signature: 'c2lnbmVk' };
const redacted = { type: 'redacted_thinking', data: 'c2VhbGVk' };
const toolUse = { type: 'tool_use', id: 'toolu_1', name: 'look', input: { a: 1 } };
const anthropicMessage = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude', stop_sequence: null };

const ANTHROPIC: Vendor = {
  name: 'anthropic',
  id: 'claude-sonnet-4-5',
  url: 'https://api.anthropic.com/v1',
  streamed: (content, end) => [
    named({
      type: 'message_start',
      message: { ...anthropicMessage, content: [], stop_reason: null, usage: ANTHROPIC_USAGE },
    }),
    ...content.flatMap((block, index) => {
      const { start, deltas } = pieces(block);
      return [
        named({ type: 'content_block_start', index, content_block: start }),
        ...deltas.map((delta) => named({ type: 'content_block_delta', index, delta })),
        named({ type: 'content_block_stop', index }),
      ];
    }),
    named({ type: 'message_delta', delta: { stop_reason: end, stop_sequence: null }, usage: { output_tokens: 5 } }),
    named({ type: 'message_stop' }),
  ],
  whole: (content, end) => ({ ...anthropicMessage, content, stop_reason: end, usage: ANTHROPIC_USAGE }),
  thought: [thinking, redacted, { type: 'text', text: 'I look.' }, toolUse],
  done: [{ type: 'text', text: 'done' }],
  sentBack: (body) => {
    const answer = (body.messages as Json[]).find(({ role }) => role === 'assistant');
    return answer?.content as Json[];
  },
  wanted: [thinking, redacted, { type: 'text', text: 'I look.' }, toolUse],
};

/** A block of Anthropic's as its stream begins it and goes on with it. */
function pieces(block: Json): { start: Json; deltas: Json[] } {
  switch (block.type) {
    case 'thinking':
      return {
        start: { type: 'thinking', thinking: '', signature: '' },
        deltas: [
          { type: 'thinking_delta', thinking: 'Let me ' },
          { type: 'thinking_delta', thinking: 'look.' },
          { type: 'signature_delta', signature: block.signature },
        ],
      };
    case 'tool_use':
      return {
        start: { ...block, input: {} },
        deltas: [{ type: 'input_json_delta', partial_json: JSON.stringify(block.input) }],
      };
    case 'text':
      return { start: { type: 'text', text: '' }, deltas: [{ type: 'text_delta', text: block.text }] };
    default:
      return { start: block, deltas: [] };
  }
}

const sealed = { encrypted_content: 'c2VhbGVk', summary: [{ type: 'summary_text', text: 'Let me look.' }] };
const functionCall = { type: 'function_call', call_id: 'call_1', name: 'look', arguments: '{"a":1}' };
const response = (output: Json[]): Json => ({
  id: 'resp_1',
  object: 'response',
  created_at: 1_764_000_000,
  model: 'gpt-5',
  output,
  usage: {
    input_tokens: 16,
    input_tokens_details: { cached_tokens: 4 },
    output_tokens: 5,
    output_tokens_details: { reasoning_tokens: 2 },
  },
  error: null,
  incomplete_details: null,
});

const OPENAI: Vendor = {
  name: 'openai',
  id: 'gpt-5',
  url: 'https://api.openai.com/v1',
  streamed: (output) => {
    const events: Json[] = [
      { type: 'response.created', response: { ...response([]), status: 'in_progress' } },
      ...output.flatMap((item, index) => {
        const at = { item_id: item.id, output_index: index };
        const part = { ...at, summary_index: 0 };
        const empty: Json =
          item.type === 'reasoning'
            ? { ...item, summary: [], encrypted_content: '' }
            : item.type === 'message'
              ? { ...item, content: [] }
              : { ...item, arguments: '' };
        const inner: Json[] =
          item.type === 'reasoning'
            ? [
                {
                  type: 'response.reasoning_summary_part.added',
                  ...part,
                  part: { type: 'summary_text', text: '' },
                },
                { type: 'response.reasoning_summary_text.delta', ...part, delta: 'Let me look.' },
              ]
            : item.type === 'message'
              ? [{ type: 'response.output_text.delta', ...at, content_index: 0, delta: 'done', logprobs: [] }]
              : [{ type: 'response.function_call_arguments.delta', ...at, delta: item.arguments }];
        return [
          { type: 'response.output_item.added', output_index: index, item: empty },
          ...inner,
          { type: 'response.output_item.done', output_index: index, item },
        ];
      }),
      { type: 'response.completed', response: { ...response(output), status: 'completed' } },
    ];
    return events.map((event, index) => named({ ...event, sequence_number: index }));
  },
  whole: (output) => ({ ...response(output), status: 'completed' }),
  thought: [
    { type: 'reasoning', id: 'rs_1', ...sealed },
    { ...functionCall, id: 'fc_1', status: 'completed' },
  ],
  done: [
    {
      type: 'message',
      id: 'msg_1',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'done', annotations: [] }],
    },
  ],
  sentBack: (body) => (body.input as Json[]).filter(({ type }) => type === 'reasoning' || type === 'function_call'),
  wanted: [{ type: 'reasoning', ...sealed }, functionCall],
};

describe.each([ANTHROPIC, OPENAI])('$name’s own endpoint', (vendor) => {
  let server: ModelServer;
  beforeAll(async () => {
    server = await ModelServer.start();
  });
  afterAll(() => server.stop());

  describe.each(['true', 'false'])('(streaming: %s)', (streaming) => {
    const answer = (content: Json[], end: string): Answer =>
      streaming === 'true' ? streams(...vendor.streamed(content, end)) : fails(200, vendor.whole(content, end));
    const thought = answer(vendor.thought, 'tool_use');
    const done = answer(vendor.done, 'end_turn');
    const real = createModelFetch({ connect: 5_000, firstByte: 5_000, idle: 5_000 });

    /** A conversation with the vendor's own address, whose requests go to the server of the test. */
    const run = (log: LoopJournal) => {
      const config = AppConfig.from({ LLM_STREAMING: streaming });
      const attempts = new ModelAttempts(config, createLlm({ LLM_STREAMING: streaming }).capabilities);
      const provider = new DirectProvider(vendor.name, { apiKey: 'sk-vendor-12345', baseUrl: null }, (url, init) =>
        real((url as string).replace(vendor.url, server.url), init),
      );
      const model = `${vendor.name}/${vendor.id}`;
      const asked = { model, address: { provider, id: vendor.id } };
      return runAgentLoop({
        llm: {
          call: (_chain, call) => attempts.answer({ ...asked, tariff: (tokens) => costOf(tokens, PRICE) }, call),
        },
        chain: [model],
        prompt: PROMPT,
        tools: TOOLS,
        roundLimit: 5,
        maxContextTokens: 8_000,
        signal: new AbortController().signal,
        journal: log,
      });
    };
    const again = ({ body }: Asked): Json[] => vendor.sentBack(body);

    it('gets its sealed reasoning back as it came, also after a crash in mid-loop', async () => {
      server.willAnswer(thought, done);
      const log = journal();
      expect((await run(log)).text).toBe('done');
      const before = again(server.asked[1]!);
      expect(before).toMatchObject(vendor.wanted);

      // The worker died after the answer was stored, and after the tool's result was.
      for (const recorded of [log.entries.slice(0, 1), log.entries]) {
        server.willAnswer(done);
        expect((await run(journal(recorded))).text).toBe('done');
        expect(server.asked).toHaveLength(1);
        expect(again(server.asked[0]!)).toEqual(before);
      }
    });

    it('counts what it read from its cache, at the price of that', async () => {
      server.willAnswer(thought, done);
      const { usage, costUsd } = await run(journal());
      const written = vendor.name === 'anthropic' ? { cacheWriteTokens: 4 } : {};
      expect(usage).toEqual({
        inputTokens: 32,
        cachedInputTokens: 8,
        ...written,
        outputTokens: 10,
        estimated: false,
      });
      const perCall = vendor.name === 'anthropic' ? 10 * 3 + 4 * 0.3 + 2 * 3.75 + 5 * 15 : 12 * 3 + 4 * 0.3 + 5 * 15;
      expect(costUsd).toBeCloseTo((2 * perCall) / 1e6, 12);
    });
  });
});

describe('marks of Anthropic’s cache', () => {
  let server: ModelServer;
  beforeAll(async () => {
    server = await ModelServer.start();
  });
  afterAll(() => server.stop());

  const EPHEMERAL = { type: 'ephemeral' };
  /** The texts of a request that are marked, in their order. */
  const marked = (value: unknown): string[] =>
    typeof value !== 'object' || value === null
      ? []
      : [
          ...((value as Json).cache_control === undefined ? [] : [JSON.stringify((value as Json).cache_control)]),
          ...Object.values(value).flatMap(marked),
        ];

  it.each<[string, string, number, number]>([
    ['the vendor’s own models', 'anthropic/claude-sonnet-4-5', 1, 2],
    ['a reseller’s', 'gateway/anthropic/claude-opus-4', 1, 2],
    ['no other model', 'gateway/gpt-4o', 0, 0],
  ])(
    'are set for %s: at the rules, and at the newest words where tools make a conversation',
    async (_, model, alone, withTools) => {
      const { service } = createLlm({
        LLM_STREAMING: 'false',
        LLM_BASE_URL: server.url,
        ANTHROPIC_API_KEY: 'sk-ant-12345',
        ANTHROPIC_BASE_URL: server.url,
      });
      const own = model.startsWith('anthropic/');
      server.willAnswer(
        fails(
          200,
          own
            ? ANTHROPIC.whole(ANTHROPIC.done, 'end_turn')
            : { choices: [{ message: { content: 'done' }, finish_reason: 'stop' }] },
        ),
      );
      const tools = [{ name: 'look', description: 'Looks', inputSchema: { type: 'object', properties: {} } }];
      const signal = new AbortController().signal;
      await service.call([model], { prompt: PROMPT, signal, maxOutputTokens: 100 });
      await service.call([model], { prompt: PROMPT, signal, maxOutputTokens: 100, tools });
      const [first, second] = server.asked.map(({ body }) => body);
      expect(marked(first)).toEqual(Array(alone).fill(JSON.stringify(EPHEMERAL)));
      expect(marked(second)).toEqual(Array(withTools).fill(JSON.stringify(EPHEMERAL)));
      const rules = own ? first!.system : (first!.messages as Json[])[0]?.content;
      if (alone > 0) expect(rules).toEqual([{ type: 'text', text: 'Be brief.', cache_control: EPHEMERAL }]);
    },
  );
});
