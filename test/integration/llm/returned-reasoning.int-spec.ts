import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runAgentLoop, type JournalEntry, type LoopJournal, type LoopTools } from '../../../src/modules/loop/index.js';
import { createLlm, PROMPT } from './llm-setup.js';
import { chunk, event, fails, ModelServer, says, streams, type Answer } from '../../support/model-server.js';

const CALL = { index: 0, id: 'call_a', type: 'function', function: { name: 'look', arguments: '{"a":1}' } };
const TOOLS: LoopTools = {
  registry: {
    offered: () => [{ name: 'look', description: 'Looks', inputSchema: { type: 'object', properties: {} } }],
    find: () => ({ name: 'look', group: 'files', writes: false, idempotent: true }),
    execute: async () => ({ text: 'seen', isError: false }),
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

/** The deltas of a thought and a call, the fields that have to come back, and the same as one whole message. */
const DIALECTS: [string, Record<string, unknown>[], Record<string, unknown>][] = [
  [
    'reasoning_content',
    [{ reasoning_content: 'Let ' }, { reasoning_content: 'me look.' }, { tool_calls: [CALL] }],
    { reasoning_content: 'Let me look.' },
  ],
  ['reasoning', [{ reasoning: 'Let me look.', content: '' }, { tool_calls: [CALL] }], { reasoning: 'Let me look.' }],
  [
    'reasoning details with a signature',
    [
      { reasoning: 'Let ', reasoning_details: [{ type: 'reasoning.text', text: 'Let ', index: 0 }] },
      { reasoning: 'me', reasoning_details: [{ type: 'reasoning.text', text: 'me', index: 0, signature: null }] },
      { reasoning_details: [{ type: 'reasoning.text', signature: 'c2lnbmVk', index: 0 }] },
      { reasoning_details: [{ type: 'reasoning.encrypted', data: 'c2VhbGVk', id: 'r1', index: 1 }] },
      { tool_calls: [CALL] },
    ],
    {
      reasoning: 'Let me',
      reasoning_details: [
        { type: 'reasoning.text', text: 'Let me', index: 0, signature: 'c2lnbmVk' },
        { type: 'reasoning.encrypted', data: 'c2VhbGVk', id: 'r1', index: 1 },
      ],
    },
  ],
  [
    'thinking blocks',
    [
      { reasoning_content: 'Let', thinking_blocks: [{ type: 'thinking', thinking: 'Let', signature: '' }] },
      { thinking_blocks: [{ type: 'thinking', thinking: '', signature: 'c2lnbmVk' }] },
      { thinking_blocks: [{ type: 'redacted_thinking', data: 'c2VhbGVk' }] },
      { thinking_blocks: [{ type: 'redacted_thinking', data: 'bW9yZQ' }] },
      { tool_calls: [CALL] },
    ],
    {
      reasoning_content: 'Let',
      thinking_blocks: [
        { type: 'thinking', thinking: 'Let', signature: 'c2lnbmVk' },
        { type: 'redacted_thinking', data: 'c2VhbGVk' },
        { type: 'redacted_thinking', data: 'bW9yZQ' },
      ],
    },
  ],
  [
    'a sealed text',
    [{ reasoning_text: 'Let me', reasoning_opaque: 'c2VhbGVk' }, { tool_calls: [CALL] }],
    { reasoning_text: 'Let me', reasoning_opaque: 'c2VhbGVk' },
  ],
  [
    'a list of parts',
    [
      { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'Let ' }] }] },
      { content: [{ type: 'thinking', thinking: [{ type: 'text', text: 'me' }] }] },
      { content: 'I look.', tool_calls: [CALL] },
    ],
    {
      content: [
        { type: 'thinking', thinking: [{ type: 'text', text: 'Let me' }] },
        { type: 'text', text: 'I look.' },
      ],
    },
  ],
  [
    'thoughts in the text',
    [{ content: '<think>Let me' }, { content: '</think>\n\nI look.' }, { tool_calls: [CALL] }],
    { content: '<think>Let me</think>I look.' },
  ],
  [
    'a signature of the call',
    [{ tool_calls: [{ ...CALL, extra_content: { google: { thought_signature: 'c2lnbmVk' } } }] }],
    { tool_calls: [{ id: 'call_a', extra_content: { google: { thought_signature: 'c2lnbmVk' } } }] },
  ],
];

describe.each(['true', 'false'])('what a provider wants back with its calls (streaming: %s)', (streaming) => {
  let server: ModelServer;
  beforeAll(async () => {
    server = await ModelServer.start();
  });
  afterAll(() => server.stop());

  const answerOf = (deltas: Record<string, unknown>[]): Answer => {
    if (streaming === 'true') {
      return streams(...deltas.map((delta) => chunk(delta)), chunk({}, 'tool_calls'), event('[DONE]'));
    }
    return fails(200, { choices: [{ message: wholeMessage(deltas), finish_reason: 'tool_calls' }] });
  };
  const done: Answer = (response, asked) =>
    (streaming === 'true'
      ? says('done')
      : fails(200, { choices: [{ message: { content: 'done' }, finish_reason: 'stop' }] }))(response, asked);
  const run = (chain: string[], log: LoopJournal, signal = new AbortController().signal) =>
    runAgentLoop({
      llm: createLlm({ LLM_BASE_URL: server.url, LLM_STREAMING: streaming }).service,
      chain,
      prompt: PROMPT,
      tools: TOOLS,
      roundLimit: 5,
      maxContextTokens: 8_000,
      signal,
      journal: log,
    });
  const sentBack = (index: number): unknown =>
    (server.asked[index]!.body.messages as { role: string }[]).find(({ role }) => role === 'assistant');

  /** The ids of the calls in a request, and those that its results name. */
  const idsIn = (index: number): string[] => {
    const messages = server.asked[index]!.body.messages as { tool_calls?: { id: string }[]; tool_call_id?: string }[];
    return messages.flatMap(({ tool_calls: calls, tool_call_id: id }) => [
      ...(calls ?? []).map((call) => call.id),
      ...(id ? [id] : []),
    ]);
  };

  it.each(DIALECTS)('%s comes back as it came, also after a crash', async (_, deltas, fields) => {
    server.willAnswer(answerOf(deltas), done);
    const log = journal();
    expect((await run(['m'], log)).text).toBe('done');
    expect(sentBack(1)).toMatchObject(fields);
    const before = sentBack(1);

    server.willAnswer(done);
    expect((await run(['m'], journal(log.entries))).text).toBe('done');
    expect(server.asked).toHaveLength(1);
    expect(sentBack(0)).toEqual(before);
  });

  it('is kept from every other model', async () => {
    server.willAnswer(answerOf(DIALECTS[0]![1]), fails(500), done);
    expect((await run(['m', 'n'], journal())).text).toBe('done');
    expect(server.asked.map(({ body }) => body.model)).toEqual(['m', 'm', 'n']);
    expect(sentBack(1)).toHaveProperty('reasoning_content');
    expect(sentBack(2)).not.toHaveProperty('reasoning_content');
    expect([idsIn(0), idsIn(1)]).toEqual([[], ['call_a', 'call_a']]);
    // Mistral refuses every other form, and OpenAI ids of more than 40 characters.
    expect(idsIn(2)).toEqual([expect.stringMatching(/^[a-z0-9]{9}$/), idsIn(2)[0]]);
  });

  it.each(['functions.look:0', 'chatcmpl-tool-0123456789abcdef0123456789abcdef', 'D681PevKs'])(
    'the id %s goes back as it came, also for a call of the same id; where it is refused, a plain one does',
    async (id) => {
      const call = { tool_calls: [{ ...CALL, id }] };
      server.willAnswer(
        answerOf([call]),
        answerOf([{ tool_calls: [{ ...CALL, id, function: { name: 'look', arguments: '{}' } }] }]),
        done,
      );
      await run(['m'], journal());
      expect(idsIn(1)).toEqual([id, id]);
      expect(new Set(idsIn(2)).size).toBe(2);
      expect(idsIn(2)[2]).toMatch(/^[a-z0-9]{9}$/);

      const refusal = fails(400, {
        error: { message: `Tool call id was ${id} but must be a-z, A-Z, 0-9, with a length of 9.` },
      });
      server.willAnswer(answerOf([call]), refusal, done);
      const isPlain = id.length === 9;
      await run(['m'], journal()).catch(() => undefined);
      if (!isPlain) expect(idsIn(2)).toEqual([expect.stringMatching(/^[a-z0-9]{9}$/), idsIn(2)[0]]);
    },
  );

  it('is left out where an endpoint refuses it', async () => {
    const refusal = fails(400, { error: { message: "property 'reasoning_content' is unsupported" } });
    server.willAnswer(answerOf(DIALECTS[0]![1]), refusal, done);
    expect((await run(['m'], journal())).text).toBe('done');
    expect(sentBack(2)).not.toHaveProperty('reasoning_content');
  });

  it('journals of before go on', async () => {
    server.willAnswer(done);
    const answer = {
      model: 'm',
      text: 'I look.',
      toolCalls: [{ id: 'call_a', name: 'look', arguments: '{}' }],
      finishReason: 'tool-calls' as const,
      usage: { inputTokens: 1, outputTokens: 1, estimated: false },
      costUsd: null,
    };
    expect((await run(['m'], journal([{ kind: 'answer', seq: 0, answer }]))).text).toBe('done');
    expect(sentBack(0)).toMatchObject({ content: 'I look.', tool_calls: [{ id: 'call_a' }] });
  });
});

/** What a server that does not stream makes of the same deltas. */
function wholeMessage(deltas: Record<string, unknown>[]): Record<string, unknown> {
  const message: Record<string, unknown> = { role: 'assistant' };
  for (const delta of deltas) {
    for (const [key, value] of Object.entries(delta)) {
      const before = message[key];
      if (typeof before === 'string' && typeof value === 'string') message[key] = before + value;
      else if (Array.isArray(before)) message[key] = [...before, ...[value].flat()];
      else message[key] = value;
    }
  }
  return message;
}
