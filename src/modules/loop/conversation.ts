import type { LanguageModelV3Prompt, LanguageModelV3ToolCallPart } from '@ai-sdk/provider';
import {
  assistantMessage,
  estimateTokens,
  type ModelAnswer,
  type ModelToolCall,
  type ModelUsage,
  type OfferedTool,
  type ResponseSchema,
} from '../llm/index.js';
import { OfferedTools, SEARCH_TOOLS } from '../tools/index.js';
import { fitHistory, withoutToolParts, withUserText } from './history.js';
import { ModelSession, type LoopHooks, type ModelSessionOptions, type ToolCallRecord } from './model-session.js';
import { millisecondsSince, parsedArguments, ToolRunner, type LoopTools, withSearch } from './tool-runner.js';

export interface ConversationInput {
  prompt: LanguageModelV3Prompt;
  tools?: LoopTools | undefined;
  /** Model answers that may ask for tools: 5 for a turn, 10 for a stage. */
  roundLimit: number;
  maxContextTokens: number;
  /** The form of the final answer; tool rounds are told it from the first one on. */
  responseSchema?: ResponseSchema | undefined;
  /** Whether another model call follows the final answer in the same journal, so that it is recorded too. */
  recordFinal?: boolean | ((answer: ModelAnswer) => boolean) | undefined;
}

export type AgentLoopInput = ConversationInput & ModelSessionOptions;

export interface AgentLoopResult {
  /** The model's final words. */
  text: string;
  /** The prompt and everything after it, untrimmed. */
  messages: LanguageModelV3Prompt;
  /** Every call the model asked for, in order, replayed and refused ones too. */
  toolCalls: ToolCallRecord[];
  /** `round_limit`: the last answer was made without tools. `repeated_call`: the loop ended itself, `text` says why. */
  ended: 'answer' | 'round_limit' | 'repeated_call';
  /** Anything but `stop` means that the final words are not whole. */
  finishReason: ModelAnswer['finishReason'];
  usage: ModelUsage;
  /** USD; null when a price was not known. */
  costUsd: number | null;
  model: string | null;
}

/** How often the same call may be asked for in succession; the last of them is not run. */
const MAX_REPEATS = 3;
const UNFINISHED = 'The answer ended before this call was whole, so it was not run. Ask for less at once.';
const LAST_ROUND = 'No further tools can be used. Answer now, with what you have.';

/**
 * Talks to a model and runs the tools it asks for, until it answers or may not go on. Used by turns, chat and the pipeline.
 * Calls of one answer run together, but a tool that writes to the work tree runs alone and in its turn; results are given
 * in call order.
 * @throws ModelCallError, UnknownToolOutcomeError, what a hook or the journal throws; `signal.reason` when aborted. No tool
 *   is running any more when it settles.
 */
export async function runAgentLoop(input: AgentLoopInput): Promise<AgentLoopResult> {
  return converse(new ModelSession(input), input);
}

/** `runAgentLoop` within a session that others continue. */
export async function converse(session: ModelSession, input: ConversationInput): Promise<AgentLoopResult> {
  return new Conversation(session, input).run();
}

class Conversation {
  private messages: LanguageModelV3Prompt;
  private readonly toolCalls: ToolCallRecord[] = [];
  private readonly shelf: OfferedTools;
  private readonly tools: ToolRunner | null;
  private hasSpoken = false;
  private repeats = new Map<string, number>();

  constructor(
    private readonly session: ModelSession,
    private readonly input: ConversationInput,
  ) {
    this.messages = [...input.prompt];
    const { tools } = input;
    const all = tools ? tools.registry.offered(tools.allowed, tools.context.tier) : [];
    this.shelf = new OfferedTools(all, input.maxContextTokens);
    session.hooks.onTools?.(this.shelf);
    this.tools = tools ? new ToolRunner(session, { ...tools, registry: withSearch(tools.registry, this.shelf) }) : null;
  }

  private get offered(): OfferedTool[] {
    return this.shelf.list;
  }

  async run(): Promise<AgentLoopResult> {
    const { roundLimit } = this.input;
    const { tools } = this;
    for (let round = 0; tools && this.offered.length > 0 && round < roundLimit; round += 1) {
      const { answer, replayed } = await this.ask(this.messages, this.offered);
      if (answer.toolCalls.length === 0) return this.result(answer, 'answer');
      const repeated = this.repeatedCall(answer.toolCalls);
      this.add(assistantMessage(answer, toolCallPart));
      if (replayed) this.searchAgain(answer.toolCalls);
      if (repeated !== null) {
        const text = `Stopped: the model asked ${MAX_REPEATS} times in a row for the identical call ${shown(repeated)}.`;
        this.addResults(answer.toolCalls.map((call) => tools.refuse(call, `Not run. ${text}`, replayed)));
        return this.endWith(text, answer, 'repeated_call');
      }
      this.addResults(
        isWhole(answer)
          ? await tools.run(answer.toolCalls, replayed)
          : answer.toolCalls.map((call) => tools.refuse(call, UNFINISHED, replayed)),
      );
    }
    if (this.offered.length === 0) {
      const { answer } = await this.ask(this.messages, []);
      return this.result(answer, 'answer');
    }
    const { answer } = await this.ask(withUserText(withoutToolParts(this.messages), LAST_ROUND), []);
    if (answer.text !== '') return this.result(answer, 'round_limit');
    return this.endWith(
      `Stopped: the model gave no answer after ${roundLimit} rounds of tools.`,
      answer,
      'round_limit',
    );
  }

  private async ask(messages: LanguageModelV3Prompt, tools: OfferedTool[]): ReturnType<ModelSession['ask']> {
    const hooks = this.session.isReplaying ? {} : this.session.hooks;
    const budget = this.input.maxContextTokens - (tools.length > 0 ? estimateTokens(JSON.stringify(tools)) : 0);
    const started = performance.now();
    const separator = this.hasSpoken ? '\n\n' : '';
    let generatingSince: number | null = null;
    hooks.onStep?.({ step: 'model', state: 'running' });
    const onText = (delta: string): void => {
      if (delta === '') return;
      if (generatingSince === null) {
        generatingSince = performance.now();
        hooks.onStep?.({ step: 'model', state: 'done', elapsed_ms: millisecondsSince(started) });
        hooks.onStep?.({ step: 'generating', state: 'running' });
        this.say(separator, hooks);
      }
      this.say(delta, hooks);
    };
    const asked = await this.session.ask(
      {
        prompt: fitHistory(messages, budget),
        ...(tools.length > 0 ? { tools } : {}),
        ...(this.input.responseSchema ? { responseSchema: this.input.responseSchema } : {}),
        ...(hooks.onText ? { onText } : {}),
      },
      (answer) => (answer.toolCalls.length === 0 || tools.length === 0) && !this.isRecorded(answer),
    );
    if (generatingSince !== null) {
      hooks.onStep?.({ step: 'generating', state: 'done', elapsed_ms: millisecondsSince(generatingSince) });
    } else {
      hooks.onStep?.({
        step: 'model',
        state: 'done',
        detail: asked.answer.model,
        elapsed_ms: millisecondsSince(started),
      });
      if (asked.answer.text !== '') this.say(separator + asked.answer.text, hooks);
    }
    return asked;
  }

  private isRecorded(final: ModelAnswer): boolean {
    const { recordFinal } = this.input;
    return typeof recordFinal === 'function' ? recordFinal(final) : recordFinal === true;
  }

  private say(text: string, hooks: LoopHooks): void {
    if (text === '') return;
    this.hasSpoken = true;
    hooks.onText?.(text);
  }

  /** Loads the tools that searches of an earlier attempt loaded, whose results are not asked for again. */
  private searchAgain(calls: readonly ModelToolCall[]): void {
    for (const call of calls) {
      const isDone = call.name === SEARCH_TOOLS && this.session.journal.resultOf(call.id) !== null;
      if (isDone) this.shelf.search(call.arguments);
    }
  }

  /** The call that this answer repeats once too often: asked for in every answer of a row, `MAX_REPEATS` times in all. */
  private repeatedCall(calls: readonly ModelToolCall[]): ModelToolCall | null {
    const counts = new Map<string, number>();
    let repeated: ModelToolCall | null = null;
    for (const call of calls) {
      const key = `${call.name}\n${normalisedJson(call.arguments)}`;
      const count = (counts.get(key) ?? this.repeats.get(key) ?? 0) + 1;
      counts.set(key, count);
      if (count >= MAX_REPEATS) repeated ??= call;
    }
    this.repeats = counts;
    return repeated;
  }

  /** Words of the loop's own in the place of an answer. */
  private endWith(text: string, answer: ModelAnswer, ended: AgentLoopResult['ended']): AgentLoopResult {
    this.say((this.hasSpoken ? '\n\n' : '') + text, this.session.hooks);
    return this.result({ ...answer, text, toolCalls: [], finishReason: 'stop' }, ended);
  }

  /** A new array each time: an earlier one is in the hands of a model. */
  private add(message: LanguageModelV3Prompt[number]): void {
    this.messages = [...this.messages, message];
  }

  private addResults(results: readonly ToolCallRecord[]): void {
    this.toolCalls.push(...results);
    this.add({
      role: 'tool',
      content: results.map(({ id, name, result, isError }) => ({
        type: 'tool-result',
        toolCallId: id,
        toolName: sendableName(name),
        output: { type: isError ? 'error-text' : 'text', value: result },
      })),
    });
  }

  private result(answer: ModelAnswer, ended: AgentLoopResult['ended']): AgentLoopResult {
    const { usage, costUsd, model } = this.session;
    if (answer.text !== '') this.add({ role: 'assistant', content: [{ type: 'text', text: answer.text }] });
    return {
      text: answer.text,
      messages: this.messages,
      toolCalls: this.toolCalls,
      ended,
      finishReason: answer.finishReason,
      usage,
      costUsd,
      model,
    };
  }
}

function shown({ name, arguments: args }: ModelToolCall): string {
  return `${name}(${args.slice(0, 200)})`;
}

/** A cut answer may hold a cut tool call, and half a `write_file` is not what the model meant. */
function isWhole(answer: ModelAnswer): boolean {
  return !['length', 'content-filter', 'error'].includes(answer.finishReason);
}

function toolCallPart(call: ModelToolCall): LanguageModelV3ToolCallPart {
  const input = parsedArguments(call.arguments);
  return {
    type: 'tool-call',
    toolCallId: call.id,
    toolName: sendableName(call.name),
    // Providers demand an object here; the model still sees what it wrote.
    input: typeof input === 'object' && input !== null && !Array.isArray(input) ? input : { unparsed: input },
    ...(call.metadata ? { providerOptions: call.metadata } : {}),
  };
}

function normalisedJson(raw: string): string {
  const value = parsedArguments(raw);
  return typeof value === 'string' ? raw : JSON.stringify(value);
}

/** Providers refuse a request whose history names a tool as no tool may be named. */
function sendableName(name: string): string {
  return name.replace(/[^\w-]/g, '_').slice(0, 64) || 'unknown';
}
