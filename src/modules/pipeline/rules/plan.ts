import { createHash } from 'node:crypto';
import {
  evaluateCondition,
  SEVERITIES,
  stepsOf,
  type AgentSnapshot,
  type ConditionFlags,
  type PodSnapshot,
  type Severity,
} from '../../pods/index.js';
import { stageKey, type GateKind, type ShownTraps, type StageKey, type TaskControl } from './task-control.js';
import type { Role } from './task-status.js';

/**
 * What happens after a stage: the pipeline's rules, pure. A *step* is one stage, or the stages of one parallel group. The
 * executor runs the steps that `enter` and `afterStep` name and stores what they decide; nothing else decides.
 */

/** Begins the part of a stage's error that quotes its model: the stage and a task that failed tell it, gates do not. */
export const QUOTED_ANSWER = '\nIt sent: ';

/** Finding types that a re-run of the task stage can repair. */
const REMEDIABLE: readonly string[] = ['prompt_injection', 'pii_exposure', 'credential_leak'];

/** The newest attempt of a role's newest iteration. */
export interface StageRecord {
  id: string;
  role: Role;
  iteration: number;
  attempt: number;
  status: 'running' | 'complete' | 'failed' | 'skipped' | 'cancelled';
  output: unknown;
  error: string | null;
  errorCode: string | null;
}

export interface OpenFinding {
  id: string;
  type: string;
  severity: Severity;
  deterministic: boolean;
}

export interface Situation {
  pod: PodSnapshot;
  control: TaskControl;
  /** Retries that each stage iteration may use. */
  maxRetries: number;
  /** By role; roles that have not run are absent. */
  newest: Partial<Record<Role, StageRecord>>;
  /** The open findings of the newest guardrail iteration. */
  findings: readonly OpenFinding[];
  /** Hash of what a reviewer is shown. */
  contentHash: () => string;
}

/** What changes in the same move, besides the control state. */
export interface Effects {
  /** Findings that the decision agent's override resolves. */
  overridden: string[];
}

export type Next = { control: TaskControl; effects: Effects } & (
  | { kind: 'run'; roles: Role[] }
  | { kind: 'retry'; roles: Role[]; retryNumber: number }
  | { kind: 'gate'; gate: GateKind; reason: string; details: Record<string, unknown> }
  | { kind: 'snooze'; until: number; provider: string }
  | { kind: 'fail'; code: string; message: string }
  | { kind: 'complete' }
);

/** What a plan may say next, by kind. */
export type NextOf<Kind extends Next['kind']> = Extract<Next, { kind: Kind }>;

/** No effects. */
export const NO_EFFECTS: Effects = { overridden: [] };

/** The iteration that `role` is in: stages before the task stage never run again. */
export function iterationOf(pod: PodSnapshot, control: TaskControl, role: Role): number {
  const steps = stepsOf(pod);
  const of = (wanted: Role): number => steps.findIndex((step) => step.some((agent) => agent.role === wanted));
  const task = of('task');
  return task >= 0 && of(role) >= task ? control.iteration : 1;
}

/** The first thing to do from the control's step on: run the step's unfinished stages, open a gate, or complete. */
export function enter(situation: Situation, effects: Effects = NO_EFFECTS): Next {
  const steps = stepsOf(situation.pod);
  for (let step = situation.control.step; step < steps.length; step += 1) {
    const members = steps[step] ?? [];
    // Conditions are asked on entry: a stage that waits, was cut or gets another attempt runs, whatever its neighbours said
    // meanwhile, and one that was left out then stays out.
    const entered = members.some((agent) => current(situation, agent.role) !== null);
    const roles = members
      .filter((agent) => (entered ? isUnfinished(situation, agent.role) : applies(situation, agent)))
      .map((agent) => agent.role);
    if (roles.length > 0) return { kind: 'run', roles, control: { ...situation.control, step }, effects };
  }
  return finish({ ...situation, control: { ...situation.control, step: steps.length } }, effects);
}

/** What follows once every stage of the control's step has ended. */
export function afterStep(situation: Situation): Next {
  const step = stepsOf(situation.pod)[situation.control.step] ?? [];
  const ended = step.filter((agent) => current(situation, agent.role) !== null);
  return (
    onErrors(situation, ended) ??
    onLoop(situation, ended) ??
    proceed(
      { ...situation, control: flagged(situation) },
      ended.some((agent) => agent.role === 'decision'),
      situation.control.flags,
    )
  );
}

/** How a stage of `role` that has just failed is stored: as skipped where the pod says so and its retries are used up. */
export function failureStatus(situation: Situation, role: Role): 'failed' | 'skipped' {
  const agent = situation.pod.agents.find((candidate) => candidate.role === role);
  return agent?.onFailure === 'skip' && retriesSpent(situation, role) ? 'skipped' : 'failed';
}

/** The things that a gate has shown besides the work itself, which its approval covers. */
export interface ShownAtGate {
  /** Paths in conflict, and the version of the workspace that the gate showed; null where none can be overwritten. */
  conflicts?: readonly { path: string; version: string | null }[];
  /** The gate listed the work that no judge was shown. */
  listedUnseen?: boolean;
  /** Hash of the traps for git that the gate listed. */
  traps?: string | undefined;
}

/**
 * How a task goes on after a person approved its gate: flags are cleared and standing verdicts forgiven, or the failed
 * stages get another attempt, or the cost limit rises once by the pod's own amount.
 */
export function approved(
  gate: GateKind,
  situation: Situation,
  { conflicts = [], listedUnseen = false, traps }: ShownAtGate = {},
): TaskControl {
  const { control, pod } = situation;
  const released = {
    ...(listedUnseen && { releasedUnseen: unseenHash(situation) }),
    ...(traps !== undefined && { releasedTraps: traps }),
  };
  switch (gate) {
    case 'escalation':
    case 'finding':
    case 'final':
      return { ...forgive(situation), approvedHash: situation.contentHash(), ...released };
    case 'unseen':
      return { ...control, ...released };
    case 'cost':
      return { ...control, costLimitUsd: (control.costLimitUsd ?? 0) + (pod.maxCostUsd ?? 0) };
    case 'stage_error':
    case 'tool_effect': {
      const allowedAttempts = { ...control.allowedAttempts };
      for (const agent of stepsOf(pod)[control.step] ?? []) {
        const record = current(situation, agent.role);
        if (record?.status === 'failed') allowedAttempts[stageKey(record.role, record.iteration)] = record.attempt + 1;
      }
      return { ...control, allowedAttempts };
    }
    case 'publish_conflict':
      return { ...control, publishOver: approvedVersions(control, conflicts) };
  }
}

/** The versions that people have let the task overwrite: of each path the version that was shown last. */
function approvedVersions(
  { publishOver = [] }: TaskControl,
  conflicts: NonNullable<ShownAtGate['conflicts']>,
): [string, string][] {
  const versions = new Map(publishOver);
  for (const { path, version } of conflicts) {
    if (version !== null) versions.set(path, version);
  }
  return [...versions];
}

/** The flags that conditions read. */
function conditionFlags(situation: Situation): ConditionFlags {
  const review = current(situation, 'code_review');
  return {
    guardrail_blocked: situation.control.flags.guardrailBlocked,
    code_review_rejected: situation.control.flags.codeReviewRejected,
    code_review_passed: review?.status === 'complete' && verdictOf(review) === 'pass',
    has_code_artifacts: situation.control.diffHash !== null,
  };
}

function current(situation: Situation, role: Role): StageRecord | null {
  const record = situation.newest[role];
  return record?.iteration === iterationOf(situation.pod, situation.control, role) ? record : null;
}

function isUnfinished(situation: Situation, role: Role): boolean {
  const record = current(situation, role);
  if (record?.status === 'running') return true;
  if (record?.status !== 'failed') return false;
  return record.attempt < (situation.control.allowedAttempts[stageKey(role, record.iteration)] ?? 1);
}

function applies(situation: Situation, agent: AgentSnapshot): boolean {
  const { guardrailBlocked, codeReviewRejected } = situation.control.flags;
  if (agent.role === 'decision' && !guardrailBlocked && !codeReviewRejected) return false;
  return evaluateCondition(agent.runCondition, conditionFlags(situation));
}

/** The key of the iteration that `role` is in. */
function keyOf({ pod, control }: Situation, role: Role): StageKey {
  return stageKey(role, iterationOf(pod, control, role));
}

function retriesSpent(situation: Situation, role: Role): boolean {
  return (situation.control.retries[keyOf(situation, role)] ?? 0) >= situation.maxRetries;
}

function onErrors(situation: Situation, ended: readonly AgentSnapshot[]): Next | null {
  const failed = ended.filter((agent) => current(situation, agent.role)?.status === 'failed');
  const { control } = situation;
  const spent = failed.filter((agent) => retriesSpent(situation, agent.role));
  const words = (agents: readonly AgentSnapshot[], tell: (error: string) => string = (error) => error): string =>
    agents.map((agent) => `${agent.role}: ${tell(current(situation, agent.role)?.error ?? 'failed')}`).join('; ');
  // A gate's reason is part of an event, and events never hold the text of an output.
  const unquoted = (error: string): string => error.split(QUOTED_ANSWER, 1).join('');

  // Also when the stage's own gate was never opened, because its neighbour's end decided the step later.
  const unknown = failed.filter((agent) => current(situation, agent.role)?.errorCode === 'tool_effect');
  if (unknown.length > 0) return openGate(situation, 'tool_effect', words(unknown, unquoted));
  const aborting = spent.filter((agent) => agent.onFailure === 'abort');
  if (aborting.length > 0) return failTask(situation, 'stage_failed', words(aborting));
  const retried = failed.filter((agent) => !spent.includes(agent));
  if (retried.length > 0) {
    const next = { ...control, retries: { ...control.retries }, allowedAttempts: { ...control.allowedAttempts } };
    for (const { role } of retried) {
      const key = keyOf(situation, role);
      next.retries[key] = (next.retries[key] ?? 0) + 1;
      next.allowedAttempts[key] = (current(situation, role)?.attempt ?? 0) + 1;
    }
    const retryNumber = Math.max(...retried.map(({ role }) => next.retries[keyOf(situation, role)] ?? 1));
    return {
      kind: 'retry',
      roles: retried.map((agent) => agent.role),
      retryNumber,
      control: next,
      effects: NO_EFFECTS,
    };
  }
  const escalating = spent.filter((agent) => agent.onFailure === 'escalate');
  return escalating.length > 0 ? openGate(situation, 'stage_error', words(escalating, unquoted)) : null;
}

/** A re-run of the task stage, when a verdict asks for one, may have one, and one can help. */
function onLoop(situation: Situation, ended: readonly AgentSnapshot[]): Next | null {
  const { control, pod } = situation;
  const judges = ended.filter((agent) => agent.role === 'guardrail' || agent.role === 'code_review');
  const taskStep = stepsOf(pod).findIndex((step) => step.some((agent) => agent.role === 'task'));
  if (judges.length === 0 || taskStep < 0 || taskStep >= control.step) return null;
  const block = standingBlock(situation);
  if (block !== null && !block.remediable) return null;
  const wanting: ('guardrail' | 'code_review')[] = [];
  if (block !== null) wanting.push('guardrail');
  if (standingVerdict(situation) === 'needs_refactor') wanting.push('code_review');
  const causes = wanting.filter((role) => {
    const agent = pod.agents.find((candidate) => candidate.role === role);
    return agent !== undefined && control.reruns[role] < agent.maxRetries;
  });
  if (causes.length === 0) return null;
  const reruns = { ...control.reruns };
  for (const role of causes) reruns[role] += 1;
  const again: TaskControl = {
    ...control,
    step: taskStep,
    iteration: control.iteration + 1,
    reruns,
    flags: { guardrailBlocked: false, codeReviewRejected: false },
  };
  return enter({ ...situation, control: again });
}

/** Flags after the step: a block that stays, a rejection, or a refactor that was asked for and cannot happen. */
function flagged(situation: Situation): TaskControl {
  const verdict = standingVerdict(situation);
  return {
    ...situation.control,
    flags: {
      guardrailBlocked: situation.control.flags.guardrailBlocked || standingBlock(situation) !== null,
      codeReviewRejected: situation.control.flags.codeReviewRejected || (verdict !== null && verdict !== 'pass'),
    },
  };
}

function proceed(situation: Situation, decided: boolean, known: TaskControl['flags']): Next {
  const next: Situation = { ...situation, control: { ...situation.control, step: situation.control.step + 1 } };
  if (!decided) return enter(next);
  const output = current(situation, 'decision')?.output as { action?: string; escalation_message?: string } | null;
  const { flags } = situation.control;
  if (flags.guardrailBlocked !== known.guardrailBlocked || flags.codeReviewRejected !== known.codeReviewRejected) {
    return openGate(next, 'escalation', 'A verdict was given beside the decision, which could not see it.');
  }
  if (output?.action !== 'override') {
    return openGate(next, 'escalation', output?.escalation_message || 'The decision agent asks for a person.');
  }
  const overridden = situation.findings.filter((finding) => !needsPerson(situation.pod, finding)).map(({ id }) => id);
  return enter(
    {
      ...next,
      control: forgive(next),
      findings: situation.findings.filter(({ id }) => !overridden.includes(id)),
    },
    { overridden },
  );
}

/** The end of the last step: the gates that may still stand before completion. */
function finish(situation: Situation, effects: Effects): Next {
  const { control, pod, findings } = situation;
  // A judge that said no and did not run again after the work was repaired has not taken it back.
  const verdict = lastVerdict(situation);
  const blocked = control.flags.guardrailBlocked || lastBlock(situation) !== null;
  const rejected = control.flags.codeReviewRejected || (verdict !== null && verdict !== 'pass');
  if (blocked || rejected) {
    const what = [
      ...(blocked ? ['the guardrail blocked the work'] : []),
      ...(rejected ? ['the code review did not pass it'] : []),
    ];
    return openGate(situation, 'escalation', `A person must decide: ${what.join(' and ')}.`, effects);
  }
  const serious = findings.filter((finding) => needsPerson(pod, finding));
  if (serious.length > 0) {
    const list = serious.map((finding) => `${finding.type} (${finding.severity})`).join(', ');
    return openGate(situation, 'finding', `Open findings need a person: ${list}.`, effects);
  }
  // Also where no guardrail was there to report them, or to be asked again.
  const traps = openTraps(situation);
  if (traps !== null) return trapsGate(situation, traps, effects);
  if (pod.requireHumanReview === 'always' && control.approvedHash !== situation.contentHash()) {
    return openGate(situation, 'final', 'The pod asks for a person to review every result.', effects);
  }
  const unseen = openUnseen(situation);
  if (unseen !== null) {
    return openGate(situation, 'unseen', `No judge was shown all of the work: ${listed(unseen)}.`, effects);
  }
  return { kind: 'complete', control, effects };
}

/** Gates that list the work no judge was shown, and whose approval releases it. */
const RELEASING: readonly GateKind[] = ['escalation', 'finding', 'final', 'unseen'];

interface Unseen {
  files: { path: string; reason: string }[];
  more: number;
}

/** The work that a judge was not shown, as the newest verdicts say; null for none. */
function unseenOf({ newest }: Situation): Unseen | null {
  const files = new Map<string, { path: string; reason: string }>();
  let more = 0;
  for (const record of [newest.guardrail, newest.code_review]) {
    const unseen = record?.status === 'complete' ? (record.output as { unseen?: Unseen }).unseen : undefined;
    for (const file of unseen?.files ?? []) files.set(file.path, file);
    more = Math.max(more, unseen?.more ?? 0);
  }
  return files.size === 0 ? null : { files: [...files.values()], more };
}

/** `unseenOf`, unless a person has released just that. */
function openUnseen(situation: Situation): Unseen | null {
  return situation.control.releasedUnseen === unseenHash(situation) ? null : unseenOf(situation);
}

/** Names the unseen work with its content: another iteration, or another byte in a file, is another one. */
function unseenHash(situation: Situation): string {
  const { control, newest } = situation;
  const unseen = unseenOf(situation);
  const files = unseen?.files.map(({ path, reason }) => [path, reason]);
  const work = [control.diffHash, newest.task?.iteration ?? null, files ?? [], unseen?.more ?? 0];
  return createHash('sha256').update(JSON.stringify(work)).digest('hex');
}

/** The parts of the changes that git would obey, unless a person has let just that pass. */
function openTraps({ control }: Situation): ShownTraps | null {
  const { traps, releasedTraps } = control;
  return traps === undefined || traps.hash === releasedTraps ? null : traps;
}

/** The gate for changes that the owner's git would obey. */
export function trapsGate(situation: Situation, traps: ShownTraps, effects: Effects = NO_EFFECTS): Next {
  const named = traps.files.map(({ path, kind }) => `${path} (${kind})`).join(', ');
  const all = traps.more > 0 ? `${named} and ${traps.more} more` : named;
  const withThem = { ...situation, control: { ...situation.control, traps } };
  return openGate(withThem, 'finding', `The owner's git would obey what the work holds: ${all}.`, effects);
}

function listed({ files, more }: Unseen): string {
  const named = files.slice(0, 20).map(({ path, reason }) => `${path} (${reason})`);
  const others = files.length - named.length + more;
  return others > 0 ? `${named.join(', ')} and ${others} more` : named.join(', ');
}

/** Stops at a gate, or fails the task where the pod wants no person. */
export function openGate(
  situation: Situation,
  kind: GateKind,
  reason: string,
  effects: Effects = NO_EFFECTS,
  details: Record<string, unknown> = {},
): Next {
  if (situation.pod.requireHumanReview === 'never') return failTask(situation, `gate_${kind}`, reason, effects);
  const unseen = RELEASING.includes(kind) ? openUnseen(situation) : null;
  const traps = RELEASING.includes(kind) && kind !== 'unseen' ? openTraps(situation) : null;
  const shown = { ...details, ...(unseen && { unseen }), ...(traps && { traps }) };
  return { kind: 'gate', gate: kind, reason, details: shown, control: situation.control, effects };
}

/** Fails the task for good. */
export function failTask(situation: Situation, code: string, message: string, effects: Effects = NO_EFFECTS): Next {
  return { kind: 'fail', code, message, control: situation.control, effects };
}

function needsPerson(pod: PodSnapshot, finding: OpenFinding): boolean {
  return finding.deterministic || SEVERITIES.indexOf(finding.severity) >= SEVERITIES.indexOf(pod.escalationThreshold);
}

/** Clears the flags and forgives the verdicts that were there to be seen; one that a later stage gives is not among them. */
function forgive(situation: Situation): TaskControl {
  const { control, newest } = situation;
  return {
    ...control,
    flags: { guardrailBlocked: false, codeReviewRejected: false },
    forgiven: {
      guardrail: newest.guardrail?.iteration ?? control.forgiven.guardrail,
      code_review: newest.code_review?.iteration ?? control.forgiven.code_review,
    },
  };
}

/** This iteration's block, unless it was overridden or approved; `remediable` when a re-run may repair it. */
function standingBlock(situation: Situation): { remediable: boolean } | null {
  return current(situation, 'guardrail') === null ? null : lastBlock(situation);
}

/** `standingBlock` of the iteration in which the guardrail ran last. */
function lastBlock({ newest, control }: Situation): { remediable: boolean } | null {
  const record = newest.guardrail;
  if (record?.status !== 'complete' || isForgiven(control.forgiven.guardrail, record)) return null;
  const output = record.output as { blocked?: boolean; findings?: { type: string }[] };
  if (output.blocked === false) return null;
  const findings = output.findings ?? [];
  return { remediable: findings.length > 0 && findings.every(({ type }) => REMEDIABLE.includes(type)) };
}

function standingVerdict(situation: Situation): string | null {
  return current(situation, 'code_review') === null ? null : lastVerdict(situation);
}

function lastVerdict({ newest, control }: Situation): string | null {
  const record = newest.code_review;
  if (record?.status !== 'complete' || isForgiven(control.forgiven.code_review, record)) return null;
  return verdictOf(record);
}

function isForgiven(upTo: number | null, record: StageRecord): boolean {
  return upTo !== null && record.iteration <= upTo;
}

/** An output that holds no verdict is a rejection: a gate that cannot decide stays shut. */
function verdictOf(record: StageRecord): string {
  return (record.output as { verdict?: string } | null)?.verdict ?? 'reject';
}
