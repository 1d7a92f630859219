import { describe, expect, it } from '@jest/globals';
import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import fc from 'fast-check';
import { ModelCallError, type ModelAnswer, type ModelCall, type OfferedTool } from '../llm/index.js';
import type { ToolContext, ToolResult } from '../tools/index.js';
import {
  runAgentLoop,
  UnknownToolOutcomeError,
  type AgentLoopInput,
  type CallSpend,
  type JournalEntry,
  type LoopStep,
  type LoopToolRegistry,
} from './index.js';

type Reply = Partial<ModelAnswer> | Error | ((call: ModelCall) => Partial<ModelAnswer> | Promise<Partial<ModelAnswer>>);

const PROMPT: LanguageModelV3Prompt = [
  { role: 'system', content: 'You help.' },
  { role: 'user', content: [{ type: 'text', text: 'Do it.' }] },
];

function call(name: string, args: unknown = {}, id = ''): ModelAnswer['toolCalls'][number] {
  return { id, name, arguments: typeof args === 'string' ? args : JSON.stringify(args) };
}

function answerOf(reply: Partial<ModelAnswer>): ModelAnswer {
  return {
    model: 'fake/one',
    text: '',
    toolCalls: [],
    finishReason: reply.toolCalls?.length ? 'tool-calls' : 'stop',
    usage: { inputTokens: 10, outputTokens: 5, estimated: false },
    costUsd: 0.5,
    ...reply,
  };
}

/** A model that gives `replies` in turn, and stays at the last one. */
function fakeLlm(replies: Reply[]) {
  const calls: ModelCall[] = [];
  return {
    calls,
    call: async (_chain: readonly string[], request: ModelCall): Promise<ModelAnswer> => {
      await request.beforeModel?.('fake/one');
      calls.push(request);
      const reply = replies[Math.min(calls.length, replies.length) - 1] ?? {};
      if (reply instanceof Error) throw reply;
      const answer = answerOf(typeof reply === 'function' ? await reply(request) : reply);
      if (answer.text) request.onText?.(answer.text);
      return answer;
    },
  };
}

interface FakeTool {
  group?: string;
  writes?: boolean;
  idempotent?: boolean;
  run?: (args: string, context: ToolContext) => Promise<ToolResult> | ToolResult;
}

function fakeTools(tools: Record<string, FakeTool>) {
  const executed: string[] = [];
  const registry: LoopToolRegistry = {
    offered: (): OfferedTool[] =>
      Object.keys(tools).map((name) => ({ name, description: name, inputSchema: { type: 'object' } })),
    find: (name) => {
      const tool = tools[name];
      return tool
        ? { name, group: tool.group ?? 'files', writes: tool.writes ?? false, idempotent: tool.idempotent ?? true }
        : null;
    },
    execute: async (name, args, _allowed, context) => {
      executed.push(`${name}(${args})`);
      const tool = tools[name];
      if (!tool) return { text: 'There is no such tool.', isError: true };
      return (await tool.run?.(args, context)) ?? { text: `${name} ran` };
    },
  };
  return { registry, executed };
}

function memoryJournal(recorded: readonly JournalEntry[] = []) {
  const entries: JournalEntry[] = [...recorded];
  return {
    entries,
    recorded,
    recordAnswer: (entry: JournalEntry) => Promise.resolve(void entries.push(entry)),
    recordResult: (entry: JournalEntry) => Promise.resolve(void entries.push(entry)),
    recordRepeat: (entry: JournalEntry) => Promise.resolve(void entries.push(entry)),
  };
}

function setup(replies: Reply[], tools: Record<string, FakeTool> = {}, over: Partial<AgentLoopInput> = {}) {
  const llm = fakeLlm(replies);
  const { registry, executed } = fakeTools(tools);
  const abort = new AbortController();
  const context: ToolContext = {
    root: '/tree',
    tier: 'workspace',
    network: false,
    owner: 'admin',
    work: { kind: 'turn', id: 'turn' },
    signal: abort.signal,
  };
  const input: AgentLoopInput = {
    llm,
    chain: ['fake/one'],
    prompt: PROMPT,
    tools: { registry, allowed: null, context },
    roundLimit: 5,
    maxContextTokens: 100_000,
    signal: abort.signal,
    ...over,
  };
  return { llm, executed, abort, input, run: () => runAgentLoop(input) };
}

/** What a provider would be sent, as `role:text` lines. */
function seen(prompt: LanguageModelV3Prompt): string[] {
  return prompt.map((message) => {
    if (message.role === 'system') return `system:${message.content}`;
    const parts = message.content.map((part) => {
      if (part.type === 'text') return part.text;
      if (part.type === 'tool-call') return `call ${part.toolCallId} ${part.toolName} ${JSON.stringify(part.input)}`;
      if (part.type === 'tool-result') return `result ${part.toolCallId} ${JSON.stringify(part.output)}`;
      return part.type;
    });
    return `${message.role}:${parts.join('|')}`;
  });
}

describe('the agent loop', () => {
  it('gives the model the results of its calls, in call order, and returns its final words', async () => {
    const order: string[] = [];
    const told: [id: string, place: number][] = [];
    const { run, llm } = setup(
      [{ text: 'Looking.', toolCalls: [call('slow', { a: 1 }, 'x'), call('quick', {}, 'y')] }, { text: 'Done.' }],
      {
        slow: {
          run: async () => (await new Promise((resolve) => setImmediate(resolve)), order.push('slow'), { text: 'S' }),
        },
        quick: { run: () => (order.push('quick'), { text: 'Q', isError: true }) },
      },
      { hooks: { onToolCall: ({ id }, place) => told.push([id, place]) } },
    );
    const result = await run();
    expect(order).toEqual(['quick', 'slow']);
    expect(told.map(([id]) => id)).toEqual(['y', 'x']);
    expect(told.toSorted(([, a], [, b]) => a - b).map(([id]) => id)).toEqual(['x', 'y']);
    expect(seen(llm.calls[1]?.prompt ?? []).slice(2)).toEqual([
      'assistant:Looking.|call x slow {"a":1}|call y quick {}',
      'tool:result x {"type":"text","value":"S"}|result y {"type":"error-text","value":"Q"}',
    ]);
    expect(result).toMatchObject({
      text: 'Done.',
      ended: 'answer',
      finishReason: 'stop',
      model: 'fake/one',
      usage: { inputTokens: 20, outputTokens: 10, estimated: false },
      costUsd: 1,
    });
    expect(result.toolCalls.map(({ id, result: text, isError }) => [id, text, isError])).toEqual([
      ['x', 'S', false],
      ['y', 'Q', true],
    ]);
  });

  it('runs a tool that writes to the work tree alone and in its turn', async () => {
    let running = 0;
    const peaks: [string, number][] = [];
    const tool = (name: string, writes: boolean, group = 'files'): FakeTool => ({
      writes,
      group,
      run: async () => {
        running += 1;
        await new Promise((resolve) => setImmediate(resolve));
        peaks.push([name, running]);
        running -= 1;
        return { text: name };
      },
    });
    const { run, executed } = setup(
      [{ toolCalls: [call('r1'), call('r2'), call('w1'), call('w2'), call('p1'), call('r3')] }, { text: 'ok' }],
      {
        r1: tool('r1', false),
        r2: tool('r2', false),
        w1: tool('w1', true),
        w2: tool('w2', true, 'shell'),
        p1: tool('p1', true, 'platform'),
        r3: tool('r3', false),
      },
    );
    await run();
    expect(Object.fromEntries(peaks)).toEqual({ r1: 2, r2: 1, w1: 1, w2: 1, p1: 2, r3: 1 });
    expect(executed.map((name) => name.slice(0, 2))).toEqual(['r1', 'r2', 'w1', 'w2', 'p1', 'r3']);
  });

  it('makes one last call without tools and without tool parts at the round limit', async () => {
    let n = 0;
    const { run, llm, executed } = setup(
      [(request) => (request.tools ? { toolCalls: [call('look', { n: (n += 1) })] } : { text: 'All I know.' })],
      { look: {} },
      { roundLimit: 3 },
    );
    const result = await run();
    expect(executed).toHaveLength(3);
    expect(llm.calls).toHaveLength(4);
    expect(llm.calls[3]?.tools).toBeUndefined();
    expect(JSON.stringify(llm.calls[3]?.prompt)).not.toMatch(/tool-call|tool-result/);
    expect(result).toMatchObject({ text: 'All I know.', ended: 'round_limit' });
  });

  it('says so when even the last call brings no words', async () => {
    const said: string[] = [];
    const { run } = setup(
      [{ toolCalls: [call('look', { n: 1 })] }, { toolCalls: [call('look', { n: 2 })] }],
      { look: {} },
      { roundLimit: 1, hooks: { onText: (delta) => said.push(delta) } },
    );
    const result = await run();
    expect(result).toMatchObject({
      ended: 'round_limit',
      text: expect.stringContaining('no answer after 1 rounds') as unknown as string,
    });
    expect(said.join('')).toBe(result.text);
  });

  it('ends with a message when the identical call is repeated three times in a row', async () => {
    const said: string[] = [];
    const told: string[] = [];
    const { run, llm, executed } = setup(
      [{ toolCalls: [call('look', '{"a": 1}'), call('other', { n: 1 })] }, { toolCalls: [call('look', '{"a":1}')] }],
      { look: {}, other: {} },
      { hooks: { onText: (delta) => said.push(delta), onToolCall: ({ id }) => told.push(id) } },
    );
    const result = await run();
    expect(llm.calls).toHaveLength(3);
    expect(executed.filter((name) => name.startsWith('look'))).toHaveLength(2);
    expect(result.ended).toBe('repeated_call');
    expect([...told].sort()).toEqual(result.toolCalls.map(({ id }) => id).sort());
    expect(result.text).toContain('identical call look({"a":1})');
    expect(said.join('')).toBe(result.text);
  });

  it('lets the same call be repeated when something else happened in between', async () => {
    const { run } = setup(
      [
        { toolCalls: [call('test')] },
        { toolCalls: [call('edit', { n: 1 })] },
        { toolCalls: [call('test')] },
        { toolCalls: [call('edit', { n: 2 })] },
        { toolCalls: [call('test')] },
        { text: 'green' },
      ],
      { test: {}, edit: {} },
      { roundLimit: 10 },
    );
    expect(await run()).toMatchObject({ text: 'green', ended: 'answer' });
  });

  it('makes repeated, missing and unsendable tool call ids unique', async () => {
    const { run } = setup(
      [
        {
          toolCalls: [
            call('look', { n: 1 }, 'a'),
            call('look', { n: 2 }, 'a'),
            call('look', { n: 3 }),
            call('look', { n: 4 }, 'ü!'),
          ],
        },
        { toolCalls: [call('look', { n: 5 }, 'a')] },
        { text: 'ok' },
      ],
      { look: {} },
    );
    const ids = (await run()).toolCalls.map(({ id }) => id);
    expect(new Set(ids).size).toBe(5);
    for (const id of ids) expect(id).toMatch(/^[\w-]{1,64}$/);
  });

  it.each(['{"path": ', '[1]', '"x"', 'null', '{'.repeat(50_000)])(
    'sends malformed arguments back in a form providers take: %.12s',
    async (args) => {
      const { run, llm, executed } = setup([{ toolCalls: [call('a tool!', args)] }, { text: 'ok' }], {
        look: {},
      });
      const result = await run();
      expect(executed).toEqual([`a tool!(${args})`]);
      expect(result.toolCalls[0]).toMatchObject({ isError: true });
      const part = llm.calls[1]?.prompt[2]?.content[0];
      expect(part).toMatchObject({
        type: 'tool-call',
        toolName: 'a_tool_',
        input: { unparsed: args === 'null' ? null : (expect.anything() as unknown) },
      });
    },
  );

  it('does not run the calls of an answer that was cut', async () => {
    const { run, executed } = setup(
      [{ toolCalls: [call('write', { content: 'half' })], finishReason: 'length' }, { text: 'sorry' }],
      { write: { writes: true } },
    );
    const result = await run();
    expect(executed).toEqual([]);
    expect(result.toolCalls[0]).toMatchObject({ isError: true });
  });

  it('answers calls past the limit of one answer without running them', async () => {
    const many = Array.from({ length: 40 }, (_, n) => call('look', { n }));
    const { run, executed } = setup([{ toolCalls: many }, { text: 'ok' }], { look: {} });
    const result = await run();
    expect(executed).toHaveLength(32);
    expect(result.toolCalls).toHaveLength(40);
    expect(result.toolCalls.filter(({ isError }) => isError)).toHaveLength(8);
  });

  it('counts what brought no answer, and no cost once a price is unknown', async () => {
    const spends: CallSpend[] = [];
    const failure = new ModelCallError('unavailable', 'down', { model: 'fake/two', provider: 'fake' });
    const usage = { inputTokens: 1_000_000, outputTokens: 0, estimated: false };
    const lose = (request: ModelCall): void => request.onLost?.({ model: 'fake/two', usage, costUsd: 1, text: '' });
    const breaks = (request: ModelCall): never => {
      lose(request);
      throw failure;
    };
    const hooks = { afterCall: (spend: CallSpend) => void spends.push(spend) };
    await expect(setup([breaks], {}, { hooks }).run()).rejects.toBe(failure);
    expect(spends).toEqual([{ model: 'fake/two', usage, costUsd: 1, failed: true }]);

    const fallsBack = (request: ModelCall): Partial<ModelAnswer> => {
      lose(request);
      return { text: 'hi' };
    };
    expect(await setup([fallsBack]).run()).toMatchObject({
      model: 'fake/one',
      usage: { inputTokens: 1_000_010, outputTokens: 5 },
      costUsd: 1.5,
    });
    const unknown = setup([{ text: 'hi', costUsd: null }]);
    expect((await unknown.run()).costUsd).toBeNull();
  });

  it('counts what one model of a chain lost before the next one is asked', async () => {
    const told: string[] = [];
    const hooks = {
      beforeCall: async (model: string) => void told.push(`before ${model}`),
      afterCall: (spend: CallSpend) => void told.push(`after ${spend.model}`),
      endCall: () => void told.push('end'),
    };
    const usage = { inputTokens: 1, outputTokens: 1, estimated: true };
    const fallsBack = async (request: ModelCall): Promise<Partial<ModelAnswer>> => {
      request.onLost?.({ model: 'fake/one', usage, costUsd: 1, text: '' });
      await request.beforeModel?.('fake/two');
      return { model: 'fake/two', text: 'hi' };
    };
    await setup([fallsBack], {}, { hooks }).run();
    expect(told).toEqual(['before fake/one', 'after fake/one', 'before fake/two', 'after fake/two', 'end']);
  });

  it('asks no model when beforeCall refuses', async () => {
    const refusal = new Error('too dear');
    const { run, llm } = setup([{ text: 'hi' }], {}, { hooks: { beforeCall: () => Promise.reject(refusal) } });
    await expect(run()).rejects.toBe(refusal);
    expect(llm.calls).toHaveLength(0);
  });

  it('tells readers of its steps', async () => {
    const steps: LoopStep[] = [];
    const { run } = setup(
      [{ toolCalls: [call('look')] }, { text: 'ok' }],
      { look: {} },
      {
        hooks: { onStep: (step) => steps.push(step), onText: () => undefined },
      },
    );
    await run();
    expect(steps.map(({ step, state }) => `${step} ${state}`)).toEqual([
      'model running',
      'model done',
      'look running',
      'look done',
      'model running',
      'model done',
      'generating running',
      'generating done',
    ]);
  });

  it('stops its tools and rejects with the reason when aborted, and waits for them', async () => {
    const reason = new Error('cancelled');
    let ended = false;
    const { run, abort, llm } = setup([{ toolCalls: [call('long')] }, { text: 'never' }], {
      long: {
        run: async (_args, context) => {
          await new Promise((resolve) => {
            context.signal.addEventListener('abort', resolve);
            abort.abort(reason);
          });
          await new Promise((resolve) => setImmediate(resolve));
          ended = true;
          return { text: 'stopped' };
        },
      },
    });
    await expect(run()).rejects.toBe(reason);
    expect(ended).toBe(true);
    expect(llm.calls).toHaveLength(1);
  });

  it('aborts the other tools when the journal refuses a result', async () => {
    const lost = new Error('lease lost');
    let aborted: unknown;
    const journal = { ...memoryJournal(), recordResult: () => Promise.reject(lost) };
    const { run } = setup(
      [{ toolCalls: [call('quick'), call('long')] }],
      {
        quick: {},
        long: {
          run: (_args, { signal }) =>
            new Promise((resolve) =>
              signal.addEventListener('abort', () => {
                aborted = signal.reason;
                resolve({ text: 'x' });
              }),
            ),
        },
      },
      { journal },
    );
    await expect(run()).rejects.toBe(lost);
    expect(aborted).toBe(lost);
  });
});

describe('the journal', () => {
  const replies: Reply[] = [
    { text: 'a', toolCalls: [call('read', { n: 1 }, 'same'), call('read', { n: 2 }, 'same'), call('write', { n: 1 })] },
    { toolCalls: [call('write', { n: 2 }), call('read', { n: 3 })] },
    { text: 'The end.' },
  ];
  const tools: Record<string, FakeTool> = { read: {}, write: { writes: true, idempotent: false } };

  it('records an answer before its tools run, and each result, but not the final answer', async () => {
    const journal = memoryJournal();
    const atRun: number[] = [];
    const { run } = setup(
      replies,
      { ...tools, write: { ...tools.write, run: () => (atRun.push(journal.entries.length), { text: 'w' }) } },
      { journal },
    );
    await run();
    expect(journal.entries.map((entry) => entry.kind)).toEqual([
      'answer',
      'result',
      'result',
      'result',
      'answer',
      'result',
      'result',
    ]);
    expect(journal.entries.map((entry) => entry.seq)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(atRun).toEqual([3, 5]);
  });

  it('records the final answer too when a stage goes on after it', async () => {
    const journal = memoryJournal();
    await setup(replies, tools, { journal, recordFinal: true }).run();
    expect(journal.entries.at(-1)).toMatchObject({ kind: 'answer', answer: { text: 'The end.' } });
  });

  it('refuses to repeat a call whose outcome is unknown, before anything runs', async () => {
    const journal = memoryJournal();
    await setup(replies, tools, { journal }).run();
    const before = journal.entries.findIndex(
      (entry) => entry.kind === 'result' && JSON.stringify(entry).includes('write'),
    );
    const { run, executed } = setup(replies, tools, { journal: memoryJournal(journal.entries.slice(0, before)) });
    await expect(run()).rejects.toMatchObject({ name: 'UnknownToolOutcomeError', calls: [{ name: 'write' }] });
    expect(executed).toEqual([]);
  });

  it('repeats one that may be, once, and none that was cut since', async () => {
    const earlier = memoryJournal();
    await setup(replies, tools, { journal: earlier }).run();
    const open = earlier.entries.slice(0, 3);
    const mayRepeat = new Set(
      earlier.entries.flatMap((entry) => (entry.kind === 'answer' ? entry.answer.toolCalls : [])).map(({ id }) => id),
    );
    const journal = { ...memoryJournal(open), mayRepeat };
    const { run, executed } = setup(replies.slice(1), tools, { journal });
    expect((await run()).text).toBe('The end.');
    expect(executed[0]).toBe('write({"n":1})');
    expect(journal.entries.slice(3, 5)).toMatchObject([{ kind: 'repeat' }, { kind: 'result', text: 'write ran' }]);
    expect(journal.entries.filter(({ kind }) => kind === 'repeat')).toHaveLength(1);
    for (const cut of [
      { mayRepeat: new Set(['another']), length: 3 },
      { mayRepeat, length: 4 },
      { mayRepeat, length: 6 },
    ]) {
      const recorded = journal.entries.slice(0, cut.length);
      const again = setup(replies.slice(1), tools, {
        journal: { ...memoryJournal(recorded), mayRepeat: cut.mayRepeat },
      });
      await expect(again.run()).rejects.toThrow(UnknownToolOutcomeError);
      expect(again.executed).toEqual([]);
    }
  });

  it('repeats an idempotent one, and goes on with calls that cannot have begun', async () => {
    const journal = memoryJournal();
    await setup(replies, tools, { journal }).run();
    // The answer and the first read's result: the second read may have run, the write behind it cannot have.
    const { run, executed } = setup(replies.slice(1), tools, { journal: memoryJournal(journal.entries.slice(0, 2)) });
    expect((await run()).text).toBe('The end.');
    expect(executed[0]).toBe('read({"n":2})');
    expect(executed[1]).toBe('write({"n":1})');
  });

  it('gives the same result from any prefix, and never executes a recorded call again', async () => {
    const toolName = fc.constantFrom('read', 'write', 'absent');
    const script = fc.array(fc.array(fc.tuple(toolName, fc.nat(2)), { minLength: 1, maxLength: 4 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(script, fc.nat(), fc.boolean(), async (rounds, cut, recordFinal) => {
        const all: Reply[] = [
          ...rounds.map((calls, round) => ({
            text: `round ${round}`,
            toolCalls: calls.map(([name, n]) => call(name, { n }, `id${n}`)),
          })),
          { text: 'The end.' },
        ];
        const journal = memoryJournal();
        const whole = await setup(all, tools, { journal, recordFinal }).run();
        const prefix = journal.entries.slice(0, cut % (journal.entries.length + 1));
        const answered = prefix.filter((entry) => entry.kind === 'answer').length;
        const resumed = memoryJournal(prefix);
        const second = setup(all.slice(answered), tools, { journal: resumed, recordFinal });
        try {
          const again = await second.run();
          const plain = (result: typeof whole) => ({
            ...result,
            toolCalls: result.toolCalls.map((one) => ({ ...one, durationMs: 0 })),
          });
          expect(plain(again)).toEqual(plain(whole));
        } catch (error) {
          if (!(error instanceof UnknownToolOutcomeError)) throw error;
          expect(second.executed).toEqual([]);
        }
        const recordedResults = prefix.filter((entry) => entry.kind === 'result').length;
        const allResults = journal.entries.filter((entry) => entry.kind === 'result').length;
        expect(second.executed.length).toBeLessThanOrEqual(allResults - recordedResults);
        const keys = resumed.entries.map((entry) => (entry.kind === 'result' ? entry.callId : `answer ${entry.seq}`));
        expect(new Set(keys).size).toBe(keys.length);
        expect(new Set(resumed.entries.map(({ seq }) => seq)).size).toBe(resumed.entries.length);
      }),
      { numRuns: 150 },
    );
  });
});
describe('more tools than the context has room for', () => {
  const names = Array.from({ length: 150 }, (_, index) => `mcp__many__tool_${index}`);
  const tools: Record<string, FakeTool> = { read_file: {}, ...Object.fromEntries(names.map((name) => [name, {}])) };
  const offered = (call: ModelCall | undefined): string[] => (call?.tools ?? []).map(({ name }) => name);
  const replies: Reply[] = [
    { toolCalls: [call('search_tools', { query: 'mcp__many__tool_149' }, 'search')] },
    { toolCalls: [call('mcp__many__tool_149', {}, 'use')] },
    { text: 'Done.' },
  ];

  it('are loaded by a search, behind what was shown before', async () => {
    const { llm, executed, run } = setup(replies, tools);
    const { text } = await run();
    const [first, second, third] = llm.calls.map(offered);
    expect(first?.at(-1)).toBe('search_tools');
    expect(first).toContain('read_file');
    expect(first?.length).toBeLessThan(128);
    expect(second).toEqual([...(first ?? []), 'mcp__many__tool_149']);
    expect(third).toEqual(second);
    expect(executed).toEqual(['mcp__many__tool_149({})']);
    expect(text).toBe('Done.');
  });

  it('are loaded again where an earlier attempt loaded them', async () => {
    const journal = memoryJournal();
    await setup(replies, tools, { journal, recordFinal: false }).run();
    const searched = journal.entries.slice(0, 2);
    const again = setup(replies.slice(1), tools, { journal: memoryJournal(searched) });
    await again.run();
    expect(offered(again.llm.calls[0]).at(-1)).toBe('mcp__many__tool_149');
  });
});
