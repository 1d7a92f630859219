import type { LanguageModelV3Prompt } from '@ai-sdk/provider';
import type { TurnRow } from '../../platform/database/index.js';
import type { ToolCallRecord } from '../loop/index.js';
import type { AllowedTools, Spending, WorkingTree } from '../tools/index.js';
import type { SandboxTier } from '../../config/index.js';

export const TURN_STATUSES = ['pending', 'running', 'completed', 'failed', 'cancelled'] as const;
export type TurnStatus = Exclude<(typeof TURN_STATUSES)[number], 'pending'>;

/** Who asked: a synchronous request, a stream, the chat, or a tool of other work. */
export type TurnOrigin = TurnRow['origin'];

export interface TurnError {
  code: string;
  message: string;
}

/** One answer of an agent, finished or not. */
export interface Turn {
  id: string;
  owner: string;
  agentId: string;
  status: TurnStatus;
  /** All words so far; null while there are none. */
  response: string | null;
  /** In the order in which the model asked for them. */
  toolCalls: ToolCallRecord[];
  error: TurnError | null;
  model: string | null;
  inputTokens: number;
  /** Of the input tokens, those that a provider read from its cache. */
  cachedInputTokens: number;
  outputTokens: number;
  /** USD; null when the price of a model is not known. */
  costUsd: number | null;
  /** Id of the last event that `response` holds; of the very last event once the turn has ended. */
  eventId: number;
  epoch: number;
  /** Whether the request that made the turn may still be waiting for its end. */
  isAwaited: boolean;
  startedAt: Date;
  completedAt: Date | null;
}

/** A turn without its texts, for readers of its events. */
export interface TurnHead extends Pick<Turn, 'id' | 'owner' | 'status' | 'error' | 'eventId' | 'completedAt'> {
  /** Code points that `response` has. */
  length: number;
}

/** How a turn ended. */
export interface TurnOutcome {
  status: Exclude<TurnStatus, 'running'>;
  /** Text after the first `after` code points, which are stored. */
  said: string;
  after: number;
  toolCalls: readonly ToolCallRecord[];
  error: TurnError | null;
  model: string | null;
  inputTokens: number;
  /** Of the input tokens, those that a provider read from its cache. */
  cachedInputTokens: number;
  outputTokens: number;
  costUsd: number | null;
  eventId: number;
}

/** A request to an agent, and its rights. */
export interface TurnRequest {
  owner: string;
  origin: TurnOrigin;
  prompt: LanguageModelV3Prompt;
  sessionId: string | null;
  taskType: string | null;
  metadata: Record<string, unknown>;
  /** Asked before the agent's own model. */
  model?: string;
  /** Milliseconds that the request may wait for the end. */
  answerWithinMs: number;
  /** Cancel the turn a second after its last reader has gone. */
  needsReaders: boolean;
  /** Of an `Idempotency-Key` header. */
  idempotency?: { key: string; bodyHash: string } | undefined;
  /** Of a turn that a tool started. */
  inherited?: InheritedRights | undefined;
}

/** Rights and limits that work started by a tool inherits from its caller. */
export interface InheritedRights {
  depth: number;
  /** The tasks and turns that led to it, outermost first. */
  ancestors?: readonly string[];
  allowed: AllowedTools;
  /** Where the caller works: what a stage has written for it stays in the task's own tree, and is reviewed with it. */
  root: string;
  /** The caller's work tree, in which the turn works as the caller does. */
  tree?: WorkingTree | undefined;
  tier: SandboxTier;
  spending?: Spending | undefined;
}

/** Thrown through a running turn to end it. */
export class TurnStoppedError extends Error {
  override readonly name = 'TurnStoppedError';
  constructor(
    readonly status: 'failed' | 'cancelled',
    readonly error: TurnError,
  ) {
    super(error.message);
  }
}

/** The error of a turn whose process died or had to stop. */
export const INTERRUPTED: TurnError = {
  code: 'interrupted',
  message: 'The process that ran the turn ended before the turn did.',
};
