import type { StageWrite } from '../store/transition.js';
import { iterationOf, type Next, type NextOf } from '../rules/plan.js';
import type { MoveParts } from './stage-records.js';
import { artifactsOf, pendingOutput, resultOf } from './task-result.js';
import type { TaskSession } from './task-execution.js';
import { ROLES, runningStatus, type Role } from '../rules/task-status.js';

/** First pause before a retry; it doubles with every retry of the same stage, with jitter, up to a minute. */
const RETRY_BASE_MS = 500;
const RETRY_MAX_MS = 60_000;

export interface TransitionContext {
  newId(): string;
  nowMs(): number;
  staleSeconds: number;
}

type SessionMove = Parameters<TaskSession['commit']>[0];

/** The one move that stores what ended (`parts`) and takes the task to what comes next. */
export function transition(
  session: TaskSession,
  parts: MoveParts,
  next: Next,
  context: TransitionContext,
): SessionMove {
  const stages = parts.stages ?? [];
  const resolve = [...(parts.resolve ?? [])];
  if (next.effects.overridden.length > 0) {
    resolve.push({ resolved_by: 'decision_agent', notes: 'Overridden.', ids: next.effects.overridden });
  }
  const base: SessionMove = {
    ...parts,
    stages,
    resolve,
    to: session.run.status,
    control: next.control,
    events: parts.events ?? [],
    // A stage that ended shows that its worker survived it.
    ...(stages.length > 0 ? { stage_crashes: 0, suspect: false } : {}),
  };
  switch (next.kind) {
    case 'run':
      return runMove(session, base, next, context);
    case 'retry':
      return retryMove(session, base, next);
    case 'snooze':
      return snoozeMove(session, base, next, context);
    case 'gate':
      return gateMove(session, base, next, context);
    case 'fail':
      return failMove(session, base, next);
    case 'complete':
      if (session.tree !== null && next.control.diffHash !== null && session.run.status !== 'completing') {
        return { ...base, to: 'completing', deadline_ms: context.staleSeconds * 4_000 };
      }
      return completeMove(session, base, context);
  }
}

/** Ends the task with its result. */
function completeMove(session: TaskSession, base: SessionMove, context: TransitionContext): SessionMove {
  return {
    ...base,
    to: 'complete',
    result: resultOf(session.run),
    artifacts: [...(base.artifacts ?? []), ...artifactsOf(session, () => context.newId())],
    error: null,
    events: [...base.events, { type: 'task.finished', data: { status: 'complete' } }],
  };
}

function runMove(
  session: TaskSession,
  base: SessionMove,
  next: NextOf<'run'>,
  context: TransitionContext,
): SessionMove {
  const started = starts(session, next, context);
  return {
    ...base,
    to: runningStatus(firstOf(session, next.roles)),
    deadline_ms: deadlineMs(session, next.roles, context),
    stages: [...(base.stages ?? []), ...started],
    events: [
      ...base.events,
      ...started.map((stage) => ({
        type: 'stage.started' as const,
        data: { stage_id: stage.id, role: stage.role, iteration: stage.iteration, attempt: stage.attempt },
      })),
    ],
  };
}

function retryMove(session: TaskSession, base: SessionMove, next: NextOf<'retry'>): SessionMove {
  const ceilingMs = Math.min(RETRY_BASE_MS * 2 ** (next.retryNumber - 1), RETRY_MAX_MS);
  const delayMs = Math.round(ceilingMs / 2 + (ceilingMs / 2) * Math.random());
  return {
    ...base,
    to: 'queued',
    queue: { next_status: runningStatus(firstOf(session, next.roles)), delay_ms: delayMs, wait_reason: 'retry_at' },
    retries: next.roles.length,
    events: [
      ...base.events,
      { type: 'task.retried', data: { reason: 'stage_failed', roles: next.roles, delay_ms: delayMs } },
    ],
  };
}

function snoozeMove(
  session: TaskSession,
  base: SessionMove,
  next: NextOf<'snooze'>,
  context: TransitionContext,
): SessionMove {
  const until = new Date(next.until).toISOString();
  const { newest } = session.situation;
  const waiting = ROLES.filter((role) => newest[role]?.status === 'running');
  return {
    ...base,
    to: 'queued',
    queue: {
      next_status: runningStatus(firstOf(session, waiting)),
      delay_ms: Math.max(next.until - context.nowMs(), 1),
      wait_reason: 'provider',
      wait_provider: next.provider,
    },
    events: [...base.events, { type: 'task.retried', data: { reason: 'provider', provider: next.provider, until } }],
  };
}

function gateMove(
  session: TaskSession,
  base: SessionMove,
  next: NextOf<'gate'>,
  context: TransitionContext,
): SessionMove {
  const id = context.newId();
  return {
    ...base,
    to: 'pending_human_review',
    open_gate: {
      id,
      kind: next.gate,
      reason: next.reason,
      content_hash: session.situation.contentHash(),
      details: next.details,
    },
    artifacts: [...(base.artifacts ?? []), ...pendingOutput(session, () => context.newId())],
    events: [...base.events, { type: 'gate.opened', data: { gate_id: id, kind: next.gate, reason: next.reason } }],
  };
}

function failMove(session: TaskSession, base: SessionMove, next: NextOf<'fail'>): SessionMove {
  const stage = session.run.status.replace('_running', '');
  return {
    ...base,
    to: 'failed',
    error: { code: next.code, message: next.message, context: { stage, iteration: next.control.iteration } },
    end_running_stages: { status: 'failed', error_code: next.code, error: next.message },
    dead_letter: { reason: next.code, error: next.message, stage },
    events: [...base.events, { type: 'task.finished', data: { status: 'failed', code: next.code } }],
  };
}

/** Rows of the stages that begin; a stage that was interrupted goes on in the row it has. */
function starts(session: TaskSession, next: NextOf<'run'>, context: TransitionContext): StageWrite[] {
  const { newest } = session.situation;
  return next.roles.flatMap((role) => {
    const iteration = iterationOf(session.run.pod, next.control, role);
    const known = newest[role];
    if (known?.status === 'running' && known.iteration === iteration) return [];
    const attempt = known?.iteration === iteration ? known.attempt + 1 : 1;
    const position = session.run.pod.agents.find((agent) => agent.role === role)?.position ?? 0;
    const stage: StageWrite = { id: context.newId(), role, position, iteration, attempt, status: 'running' };
    return [stage];
  });
}

function firstOf(session: TaskSession, roles: readonly Role[]): Role {
  const agent = session.run.pod.agents.find((candidate) => roles.includes(candidate.role));
  if (agent === undefined) throw new Error('A step has no stage to run.');
  return agent.role;
}

/** The reaper's backstop stands well behind the stage's own time-out. */
function deadlineMs(session: TaskSession, roles: readonly Role[], context: TransitionContext): number {
  const agents = session.run.pod.agents.filter((agent) => roles.includes(agent.role));
  return (Math.max(...agents.map((agent) => agent.timeoutSeconds)) + context.staleSeconds) * 1_000;
}
