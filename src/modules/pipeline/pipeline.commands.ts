import type { SandboxTier } from '../../config/index.js';
import type { Principal } from '../auth/index.js';
import type { AllowedTools } from '../tools/index.js';
import type { TaskFilter } from './store/task-filter.repository.js';

export interface Submission {
  userInput: string;
  podId?: string;
  podName?: string;
  metadata: Record<string, unknown>;
  maxRetries: number;
  priority: number;
  /** Of the `Idempotency-Key` header; the hash covers the whole body. */
  idempotency?: { key: string; bodyHash: string };
  /** What a task that a tool starts may have at the most. */
  inherited?: Inherited;
}

/** The rights of the work that starts a task. */
export interface Inherited {
  /** Of the new task; one that a person submits has 0. */
  depth: number;
  tier: SandboxTier;
  network: boolean;
  allowed: AllowedTools;
  /** USD; null is no limit. */
  costUsd: number | null;
}

export interface Submitted {
  taskId: string;
  podName: string;
  queuedAt: Date;
  /** True when an Idempotency-Key named a task that exists already. */
  replayed: boolean;
}

export interface Decision {
  decision: 'approve' | 'reject';
  comment?: string;
  gateId?: string;
}

/**
 * What people and programs may ask of the pipeline. Every method checks ownership: a task the principal may not see does
 * not exist for it (`not_found`).
 */
export abstract class PipelineCommands {
  /**
   * Stores a task and rings the bell; it is durable when this resolves.
   * @throws DomainError not_found, pod_disabled, validation_failed, idempotency_key_reused, forbidden, model_not_allowed,
   *   sandbox_not_allowed, price_unknown, no_model.
   */
  abstract submit(principal: Principal, submission: Submission): Promise<Submitted>;
  /** Cancels a task in any non-terminal state and stops its work. @throws DomainError not_found, task_terminal. */
  abstract cancel(principal: Principal, taskId: string): Promise<void>;
  /**
   * Decides the open gate once; returns the task's status after it.
   * @throws DomainError not_found, forbidden, no_open_gate, gate_stale, content_changed.
   */
  abstract review(principal: Principal, taskId: string, decision: Decision): Promise<{ status: string }>;
  /** Deletes a task that has ended. @throws DomainError not_found, task_not_terminal. */
  abstract delete(principal: Principal, taskId: string): Promise<void>;
  /** Deletes every ended task that `filter` names, whoever owns it; returns how many. */
  abstract deleteEnded(filter: TaskFilter): Promise<number>;
  /** Puts a dead letter back into the queue with its checkpoint. @throws DomainError not_found, not_a_dead_letter. */
  abstract requeue(taskId: string): Promise<{ status: string }>;
  /** Discards the dead letter; the failed task stays. @throws DomainError not_found. */
  abstract discardDeadLetter(taskId: string): Promise<void>;
  /** One pass of the reaper, now. */
  abstract reapNow(): Promise<void>;
}
