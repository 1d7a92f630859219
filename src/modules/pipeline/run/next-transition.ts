import { gitFindings } from '../guardrail/git-findings.js';
import type { FindingWrite, StageWrite } from '../store/transition.js';
import type { Next, NextOf } from '../rules/next.js';
import { iterationOf } from '../rules/situation.js';
import { findingAdded, type StageRecords } from './stage-records.js';
import { artifactsOf, pendingOutput, resultOf } from './task-result.js';
import type { ForeseenTask, TaskExecution } from './task-execution.js';
import type { ShownTraps } from '../rules/task-control.js';
import { ROLES, runningStatus, type Role } from '../rules/task-status.js';

/** First pause before a retry; it doubles with every retry of the same stage, with jitter, up to a minute. */
const RETRY_BASE_MS = 500;
const RETRY_MAX_MS = 60_000;

export interface TransitionContext {
  newId(): string;
  nowMs(): number;
  staleSeconds: number;
}

type ExecutionTransition = Parameters<TaskExecution['commit']>[0];

/** The one transition that stores what ended (`parts`, which `foreseen` holds) and takes the task to what comes next. */
export function transition(
  foreseen: ForeseenTask,
  parts: StageRecords,
  next: Next,
  context: TransitionContext,
): ExecutionTransition {
  const stages = parts.stages ?? [];
  const resolve = [...(parts.resolve ?? [])];
  if (next.effects.overridden.length > 0) {
    resolve.push({ resolved_by: 'decision_agent', notes: 'Overridden.', ids: next.effects.overridden });
  }
  const base: ExecutionTransition = {
    ...parts,
    stages,
    resolve,
    to: foreseen.task.status,
    control: next.control,
    events: parts.events ?? [],
    // A stage that ended shows that its worker survived it.
    ...(stages.length > 0 ? { stage_crashes: 0, suspect: false } : {}),
  };
  switch (next.kind) {
    case 'run':
      return runTransition(foreseen, base, next, context);
    case 'retry':
      return retryTransition(foreseen, base, next);
    case 'snooze':
      return snoozeTransition(foreseen, base, next, context);
    case 'gate':
      return gateTransition(foreseen, base, next, context);
    case 'fail':
      return failTransition(foreseen, base, next);
    case 'complete':
      if (foreseen.tree !== null && next.control.diffHash !== null && foreseen.task.status !== 'completing') {
        return { ...base, to: 'completing', deadline_ms: context.staleSeconds * 4_000 };
      }
      return completeTransition(foreseen, base, context);
  }
}

/** Ends the task with its result. */
function completeTransition(
  foreseen: ForeseenTask,
  base: ExecutionTransition,
  context: TransitionContext,
): ExecutionTransition {
  return {
    ...base,
    to: 'complete',
    result: resultOf(foreseen.task),
    artifacts: [...(base.artifacts ?? []), ...artifactsOf(foreseen, () => context.newId())],
    error: null,
    events: [...base.events, { type: 'task.finished', data: { status: 'complete' } }],
  };
}

function runTransition(
  foreseen: ForeseenTask,
  base: ExecutionTransition,
  next: NextOf<'run'>,
  context: TransitionContext,
): ExecutionTransition {
  const started = starts(foreseen, next, context);
  return {
    ...base,
    to: runningStatus(firstOf(foreseen, next.roles)),
    deadline_ms: deadlineMs(foreseen, next.roles, context),
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

function retryTransition(
  foreseen: ForeseenTask,
  base: ExecutionTransition,
  next: NextOf<'retry'>,
): ExecutionTransition {
  const ceilingMs = Math.min(RETRY_BASE_MS * 2 ** (next.retryNumber - 1), RETRY_MAX_MS);
  const delayMs = Math.round(ceilingMs / 2 + (ceilingMs / 2) * Math.random());
  return {
    ...base,
    to: 'queued',
    queue: { next_status: runningStatus(firstOf(foreseen, next.roles)), delay_ms: delayMs, wait_reason: 'retry_at' },
    retries: next.roles.length,
    events: [
      ...base.events,
      { type: 'task.retried', data: { reason: 'stage_failed', roles: next.roles, delay_ms: delayMs } },
    ],
  };
}

function snoozeTransition(
  foreseen: ForeseenTask,
  base: ExecutionTransition,
  next: NextOf<'snooze'>,
  context: TransitionContext,
): ExecutionTransition {
  const until = new Date(next.until).toISOString();
  const { newest } = foreseen.situation;
  const waiting = ROLES.filter((role) => newest[role]?.status === 'running');
  return {
    ...base,
    to: 'queued',
    queue: {
      next_status: runningStatus(firstOf(foreseen, waiting)),
      delay_ms: Math.max(next.until - context.nowMs(), 1),
      wait_reason: 'provider',
      wait_provider: next.provider,
    },
    events: [...base.events, { type: 'task.retried', data: { reason: 'provider', provider: next.provider, until } }],
  };
}

function gateTransition(
  foreseen: ForeseenTask,
  base: ExecutionTransition,
  next: NextOf<'gate'>,
  context: TransitionContext,
): ExecutionTransition {
  const id = context.newId();
  const found = unreported(foreseen, next, () => context.newId());
  return {
    ...base,
    to: 'pending_human_review',
    findings: [...(base.findings ?? []), ...found],
    open_gate: {
      id,
      kind: next.gate,
      reason: next.reason,
      content_hash: foreseen.situation.contentHash(),
      details: next.details,
    },
    artifacts: [...(base.artifacts ?? []), ...pendingOutput(foreseen, () => context.newId())],
    events: [
      ...base.events,
      ...found.map(findingAdded),
      { type: 'gate.opened', data: { gate_id: id, kind: next.gate, reason: next.reason } },
    ],
  };
}

/** The findings of a gate on what git would obey, where no guardrail has reported them. */
function unreported(foreseen: ForeseenTask, next: NextOf<'gate'>, newId: () => string): FindingWrite[] {
  const { task: stage } = foreseen.situation.newest;
  const traps = next.details.traps as ShownTraps | undefined;
  if (next.gate !== 'finding' || traps === undefined || stage === undefined) return [];
  if (
    foreseen.task.findings.some(({ open, type, deterministic }) => open && deterministic && type === 'policy_violation')
  ) {
    return [];
  }
  return gitFindings({ listed: traps.files, total: traps.files.length + traps.more }, foreseen.task.id).map(
    (finding) => ({
      id: newId(),
      stage_id: stage.id,
      finding_type: finding.type,
      severity: finding.severity,
      description: finding.description,
      evidence: finding.evidence,
      iteration: stage.iteration,
      deterministic: finding.deterministic,
    }),
  );
}

function failTransition(foreseen: ForeseenTask, base: ExecutionTransition, next: NextOf<'fail'>): ExecutionTransition {
  const stage = foreseen.task.status.replace('_running', '');
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
function starts(foreseen: ForeseenTask, next: NextOf<'run'>, context: TransitionContext): StageWrite[] {
  const { newest } = foreseen.situation;
  return next.roles.flatMap((role) => {
    const iteration = iterationOf(foreseen.task.pod, next.control, role);
    const known = newest[role];
    if (known?.status === 'running' && known.iteration === iteration) return [];
    const attempt = known?.iteration === iteration ? known.attempt + 1 : 1;
    const position = foreseen.task.pod.agents.find((agent) => agent.role === role)?.position ?? 0;
    const stage: StageWrite = { id: context.newId(), role, position, iteration, attempt, status: 'running' };
    return [stage];
  });
}

function firstOf(foreseen: ForeseenTask, roles: readonly Role[]): Role {
  const agent = foreseen.task.pod.agents.find((candidate) => roles.includes(candidate.role));
  if (agent === undefined) throw new Error('A step has no stage to run.');
  return agent.role;
}

/** The reaper's backstop stands well behind the stage's own time-out. */
function deadlineMs(foreseen: ForeseenTask, roles: readonly Role[], context: TransitionContext): number {
  const agents = foreseen.task.pod.agents.filter((agent) => roles.includes(agent.role));
  return (Math.max(...agents.map((agent) => agent.timeoutSeconds)) + context.staleSeconds) * 1_000;
}
