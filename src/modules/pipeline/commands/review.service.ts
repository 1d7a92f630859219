import { Injectable } from '@nestjs/common';
import { TaskBell } from '../../../platform/redis/index.js';
import { AppConfig } from '../../../config/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import { ownerOf, visibleOwners, type Principal } from '../../auth/index.js';
import type { Transition } from '../store/transition.js';
import { mayReview } from '../rules/review-rights.js';
import { approved } from '../rules/gates.js';
import { firstStatus } from '../rules/next.js';
import { enter } from '../rules/plan.js';
import { situationOf } from '../rules/situation.js';
import { TransitionsRepository } from '../store/transitions.repository.js';
import type { ShownTraps } from '../rules/task-control.js';
import { LoadedTasksRepository, type LoadedTask } from '../store/loaded-tasks.repository.js';
import { TaskTrees } from '../run/task-trees.js';
import type { TaskStatus } from '../rules/task-status.js';

/** Gates whose approval forgives what was found. */
const FORGIVING: readonly string[] = ['escalation', 'finding', 'final'];

export interface Decision {
  decision: 'approve' | 'reject';
  comment?: string;
  /** The gate that is meant; the open one when left out. */
  gateId?: string;
  /** Hash of the content that was looked at; that of the gate when left out. */
  contentHash?: string;
}

/** Lets people decide gates: once, on what is current, and never anonymously. */
@Injectable()
export class ReviewService {
  constructor(
    private readonly config: AppConfig,
    private readonly tasks: LoadedTasksRepository,
    private readonly transitions: TransitionsRepository,
    private readonly trees: TaskTrees,
    private readonly bell: TaskBell,
  ) {}

  /**
   * Decides the open gate once; returns the task's status after it.
   * @throws DomainError not_found, forbidden, no_open_gate, gate_stale, content_changed.
   */
  async review(principal: Principal, taskId: string, decision: Decision): Promise<{ status: TaskStatus }> {
    const task = await this.tasks.find(taskId);
    const owners = visibleOwners(principal, this.config.auth.required);
    if (task === null || (owners !== null && !owners.includes(task.owner))) throw DomainError.notFound('task', taskId);
    if (!mayReview(principal, { owner: task.owner, reviewBy: task.pod.reviewBy })) {
      throw new DomainError('forbidden', 'This task is reviewed by the admin.');
    }
    const gate = task.gate;
    if (task.status !== 'pending_human_review' || gate === null) {
      throw new DomainError('no_open_gate', 'The task waits for no decision.');
    }
    if (decision.gateId !== undefined && decision.gateId !== gate.id) {
      throw new DomainError('gate_stale', 'Another gate is open now; look at the task again.');
    }
    const hashes = [situationOf(task).contentHash(), decision.contentHash ?? gate.contentHash];
    if (hashes.some((hash) => hash !== gate.contentHash)) {
      throw new DomainError('content_changed', 'What the gate shows has changed; look at the task again.');
    }
    const decidedBy = principal.kind === 'key' ? `${ownerOf(principal)} (${principal.name})` : principal.kind;
    const outcome = decision.decision === 'approve' ? approval(task, gate) : rejection(task, decision.comment);
    const applied = await this.transitions.commit({
      task_id: task.id,
      from: task.status,
      guard: { epoch: task.epoch, version: task.version },
      raise_epoch: true,
      ...outcome,
      ...(outcome.resolve ? { resolve: [{ resolved_by: decidedBy, notes: decision.comment ?? 'Approved.' }] } : {}),
      decide_gate: {
        id: gate.id,
        decision: decision.decision,
        decided_by: decidedBy,
        comment: decision.comment ?? null,
      },
      events: [
        {
          type: 'gate.decided',
          data: { gate_id: gate.id, kind: gate.kind, decision: decision.decision, decided_by: decidedBy },
        },
        ...outcome.events,
      ],
    });
    if (!applied) throw new DomainError('no_open_gate', 'The gate was decided meanwhile.');
    if (outcome.to === 'queued') await this.bell.ring([task.id]);
    else await this.trees.drop(task, outcome.to);
    return { status: outcome.to };
  }
}

type Outcome = Pick<Transition, 'to' | 'control' | 'events'> & Partial<Transition>;

function approval(task: LoadedTask, gate: NonNullable<LoadedTask['gate']>): Outcome {
  const situation = situationOf(task);
  // A conflict that an earlier release showed has no versions: its approval covers none, and the gate opens again with them.
  const {
    unseen,
    traps,
    conflicts = [],
  } = gate.details as {
    unseen?: unknown;
    traps?: ShownTraps;
    conflicts?: { path: string; version: string | null }[];
  };
  const control = approved(gate.kind, situation, { conflicts, listedUnseen: unseen !== undefined, traps: traps?.hash });
  const forgiving = FORGIVING.includes(gate.kind);
  const next = enter({ ...situation, control, findings: forgiving ? [] : situation.findings });
  const publishes = next.kind !== 'run' && control.diffHash !== null;
  return {
    to: 'queued',
    control,
    queue: { next_status: publishes ? 'completing' : firstStatus(task.pod, next), delay_ms: 0 },
    ...(forgiving ? { resolve: [] } : {}),
    events: [],
  };
}

function rejection(task: LoadedTask, comment: string | undefined): Outcome {
  return {
    to: 'cancelled',
    control: task.control,
    error: { code: 'rejected', message: comment ?? 'A reviewer rejected the work.' },
    end_running_stages: { status: 'cancelled', error_code: 'rejected', error: 'A reviewer rejected the work.' },
    events: [{ type: 'task.finished', data: { status: 'cancelled', code: 'rejected' } }],
  };
}
