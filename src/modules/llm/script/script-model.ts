import { setTimeout as sleep } from 'node:timers/promises';
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3FinishReason,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
  LanguageModelV3Usage,
} from '@ai-sdk/provider';
import { toTurn, type Script } from './script.js';

/** Left to be estimated by who asks. */
const UNCOUNTED: LanguageModelV3Usage = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};
const PIECE = 24;

interface ScriptedTurn {
  text: string;
  pauseMs: number;
  toolCalls: { type: 'tool-call'; toolCallId: string; toolName: string; input: string }[];
  finishReason: LanguageModelV3FinishReason;
}

/** A script behind the interface that every model has. Deterministic, and reaches nothing outside the prompt. */
export class ScriptModel implements LanguageModelV3 {
  readonly specificationVersion = 'v3';
  readonly provider = 'script';
  readonly supportedUrls = {};

  constructor(
    readonly modelId: string,
    private readonly script: Script,
  ) {}

  async doGenerate(options: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> {
    const turn = this.play(options);
    for (let at = 0; turn.pauseMs > 0 && at < turn.text.length; at += PIECE)
      await pause(turn.pauseMs, options.abortSignal);
    return {
      content: [...(turn.text ? [{ type: 'text' as const, text: turn.text }] : []), ...turn.toolCalls],
      finishReason: turn.finishReason,
      usage: UNCOUNTED,
      warnings: [],
    };
  }

  doStream(options: LanguageModelV3CallOptions): Promise<LanguageModelV3StreamResult> {
    const turn = this.play(options);
    const parts = this.parts(turn, options.abortSignal);
    const stream = new ReadableStream<LanguageModelV3StreamPart>({
      async pull(controller) {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    });
    return Promise.resolve({ stream });
  }

  private play(options: LanguageModelV3CallOptions): ScriptedTurn {
    const turn = toTurn(options);
    const answer = this.script(turn);
    const toolCalls = ('calls' in answer ? answer.calls : []).map(({ tool, args }, index) => ({
      type: 'tool-call' as const,
      toolCallId: `script_${turn.allCalls.length + index + 1}`,
      toolName: tool,
      input: JSON.stringify(args),
    }));
    const text = 'text' in answer ? answer.text : 'json' in answer ? JSON.stringify(answer.json) : '';
    const unified = toolCalls.length > 0 ? 'tool-calls' : 'stop';
    return {
      text,
      pauseMs: 'text' in answer ? (answer.pauseMs ?? 0) : 0,
      toolCalls,
      finishReason: { unified, raw: unified },
    };
  }

  private async *parts(
    turn: ScriptedTurn,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<LanguageModelV3StreamPart, void> {
    yield { type: 'stream-start', warnings: [] };
    if (turn.text) {
      yield { type: 'text-start', id: '0' };
      for (let at = 0; at < turn.text.length; at += PIECE) {
        if (turn.pauseMs > 0) await pause(turn.pauseMs, signal);
        yield { type: 'text-delta', id: '0', delta: turn.text.slice(at, at + PIECE) };
      }
      yield { type: 'text-end', id: '0' };
    }
    yield* turn.toolCalls;
    yield { type: 'finish', finishReason: turn.finishReason, usage: UNCOUNTED };
  }
}

/** Rejects with the signal's reason. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
  signal?.throwIfAborted();
}
