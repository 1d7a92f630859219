import type { SandboxTier } from '../../config/index.js';
import { storableText } from '../../platform/database/index.js';
import type { ModelToolCall, OfferedTool } from '../llm/index.js';
import {
  SEARCH_TOOLS,
  TreeUnavailableError,
  type AllowedTools,
  type OfferedTools,
  type Tool,
  type ToolContext,
  type ToolResult,
} from '../tools/index.js';
import { UnknownToolOutcomeError } from './journal.js';
import type { ModelSession, ToolCallRecord } from './model-session.js';

/** What the loop needs of the tool registry. */
export interface LoopToolRegistry {
  /** The tools a model may be shown. */
  offered(allowed: AllowedTools, tier: SandboxTier): OfferedTool[];
  /** What the registry knows of a tool, by the name the model uses; null for an unknown one. */
  find(name: string): Pick<Tool, 'name' | 'group' | 'writes' | 'idempotent'> | null;
  /** Runs a call, or answers it with why it was refused. @throws TreeUnavailableError, which ends the conversation. */
  execute(name: string, rawArgumentsJson: string, allowed: AllowedTools, context: ToolContext): Promise<ToolResult>;
}

/** A conversation's tools: where they are, which of them it may use, and with what rights. */
export interface LoopTools {
  registry: LoopToolRegistry;
  allowed: AllowedTools;
  context: ToolContext;
}

const SEARCH = { name: SEARCH_TOOLS, group: 'platform', writes: false, idempotent: true };

/** `registry` with what one conversation is shown of it, and with the search for the rest. */
export function withSearch(registry: LoopToolRegistry, shelf: OfferedTools): LoopToolRegistry {
  const isSearch = (name: string): boolean => name === SEARCH_TOOLS && shelf.leftOut.length > 0;
  return {
    offered: () => shelf.list,
    find: (name) => (isSearch(name) ? SEARCH : registry.find(name)),
    execute: async (name, rawArguments, allowed, context) =>
      isSearch(name) ? shelf.search(rawArguments) : registry.execute(name, rawArguments, allowed, context),
  };
}

const MAX_CALLS_PER_ANSWER = 32;
const MAX_PARALLEL = 8;
/** Groups whose writing tools share the work tree, so that their order matters. */
const TREE_GROUPS: readonly string[] = ['files', 'shell', 'git'];

/** Runs the tool calls of a conversation and journals their results. */
export class ToolRunner {
  constructor(
    private readonly session: ModelSession,
    private readonly tools: LoopTools,
  ) {}

  /**
   * Runs calls in groups, one after the other. Of a replayed answer only the first group without all its results can have
   * been running when the earlier attempt ended.
   */
  async run(calls: readonly ModelToolCall[], replayed: boolean): Promise<ToolCallRecord[]> {
    const { registry } = this.tools;
    const results = new Map<string, ToolCallRecord>();
    let uncertain = replayed;
    for (const group of this.groups(calls.slice(0, MAX_CALLS_PER_ANSWER))) {
      const open: ModelToolCall[] = [];
      for (const call of group) {
        const recorded = replayed ? this.session.journal.resultOf(call.id) : null;
        if (recorded === null) open.push(call);
        else results.set(call.id, toolCallRecord(call, recorded, recorded.durationMs));
      }
      if (open.length === 0) continue;
      if (uncertain) {
        const unknown = open.filter((call) => !registry.find(call.name)?.idempotent);
        const mayRun = unknown.length === 0 || (await this.session.journal.takeRepeat(unknown.map(({ id }) => id)));
        if (!mayRun) throw new UnknownToolOutcomeError(unknown);
        uncertain = false;
      }
      for (const done of await this.runGroup(open)) results.set(done.id, done);
    }
    const most = `Not run: at most ${MAX_CALLS_PER_ANSWER} calls in one answer.`;
    return calls.map((call) => results.get(call.id) ?? this.refuse(call, most, replayed));
  }

  /** Answers a call without running it. */
  refuse(call: ModelToolCall, reason: string, replayed: boolean): ToolCallRecord {
    const refused = toolCallRecord(call, { text: reason, isError: true }, 0);
    if (!replayed) this.session.hooks.onToolCall?.(refused, this.session.placeOf(call.id));
    return refused;
  }

  private groups(calls: readonly ModelToolCall[]): ModelToolCall[][] {
    const groups: ModelToolCall[][] = [];
    let open: ModelToolCall[] | null = null;
    for (const call of calls) {
      const tool = this.tools.registry.find(call.name);
      if (tool?.writes && TREE_GROUPS.includes(tool.group)) {
        groups.push([call]);
        open = null;
      } else if (open === null || open.length >= MAX_PARALLEL) groups.push((open = [call]));
      else open.push(call);
    }
    return groups;
  }

  private async runGroup(calls: readonly ModelToolCall[]): Promise<ToolCallRecord[]> {
    const { signal } = this.session;
    const failed = new AbortController();
    const inner = AbortSignal.any([signal, failed.signal]);
    signal.throwIfAborted();
    const settled = await Promise.allSettled(
      calls.map(async (call) => {
        try {
          return await this.runCall(call, inner);
        } catch (error) {
          failed.abort(error);
          throw error;
        }
      }),
    );
    signal.throwIfAborted();
    inner.throwIfAborted();
    return settled.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  }

  private async runCall(call: ModelToolCall, signal: AbortSignal): Promise<ToolCallRecord> {
    const { registry, allowed, context } = this.tools;
    const { hooks, journal } = this.session;
    const started = performance.now();
    hooks.onStep?.({ step: call.name, state: 'running' });
    let result: ToolResult;
    try {
      result = await registry.execute(call.name, call.arguments, allowed, { ...context, signal });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof TreeUnavailableError) throw error;
      result = { text: 'The tool failed.', isError: true };
    }
    // A tool that gave up because of the abort has no outcome worth recording.
    signal.throwIfAborted();
    const done = toolCallRecord(
      call,
      { text: storableText(result.text), isError: result.isError },
      millisecondsSince(started),
    );
    await journal.recordResult({
      callId: call.id,
      text: done.result,
      isError: done.isError,
      durationMs: done.durationMs,
      ...(result.inTree ? { inTree: true } : {}),
    });
    hooks.onStep?.({
      step: call.name,
      state: 'done',
      elapsed_ms: done.durationMs,
      ...(done.isError ? { detail: 'failed' } : {}),
    });
    hooks.onToolCall?.(done, this.session.placeOf(call.id));
    return done;
  }
}

/** A tool call and its outcome, as results show it. */
function toolCallRecord(
  call: ModelToolCall,
  result: { text: string; isError?: boolean | undefined },
  durationMs: number,
): ToolCallRecord {
  return {
    id: call.id,
    name: call.name,
    arguments: parsedArguments(call.arguments),
    result: result.text,
    isError: result.isError ?? false,
    durationMs,
  };
}

/** The JSON a model wrote as arguments, an empty object for nothing, or the text itself. */
export function parsedArguments(raw: string): unknown {
  if (raw.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(raw);
    // Throws for nesting that could not be sent.
    JSON.stringify(value);
    return value;
  } catch {
    return raw;
  }
}

/** Whole milliseconds since `started` of `performance.now()`. */
export function millisecondsSince(started: number): number {
  return Math.round(performance.now() - started);
}
