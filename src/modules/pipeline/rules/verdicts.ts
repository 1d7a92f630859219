import { JUDGES, SEVERITIES, type ConditionFlags, type JudgeRole, type PodSnapshot } from '../../pods/index.js';
import { current, type OpenFinding, type Situation, type StageRecord } from './situation.js';
import type { TaskControl } from './task-control.js';

/** What the judges' newest answers say of the work, unless a person or the decision agent has passed over them. */

/** Finding types that a re-run of the task stage can repair. */
const REMEDIABLE: readonly string[] = ['prompt_injection', 'pii_exposure', 'credential_leak'];

/** Whether a judge's standing verdict asks for another run of the task stage. */
const ASKS_FOR_RERUN: Readonly<Record<JudgeRole, (situation: Situation) => boolean>> = {
  guardrail: (situation) => standingBlock(situation) !== null,
  code_review: (situation) => standingVerdict(situation) === 'needs_refactor',
};

/** The judges whose standing verdicts ask for another run of the task stage; none where one of them says no re-run can help. */
export function rerunCauses(situation: Situation): JudgeRole[] {
  if (standingBlock(situation)?.remediable === false) return [];
  return JUDGES.filter((judge) => ASKS_FOR_RERUN[judge](situation));
}

/** The flags that conditions read. */
export function conditionFlags(situation: Situation): ConditionFlags {
  const review = current(situation, 'code_review');
  return {
    guardrail_blocked: situation.control.flags.guardrailBlocked,
    code_review_rejected: situation.control.flags.codeReviewRejected,
    code_review_passed: review?.status === 'complete' && verdictOf(review) === 'pass',
    has_code_artifacts: situation.control.diffHash !== null,
  };
}

/** Whether only a person may let `finding` pass. */
export function needsPerson(pod: PodSnapshot, finding: OpenFinding): boolean {
  return finding.deterministic || SEVERITIES.indexOf(finding.severity) >= SEVERITIES.indexOf(pod.escalationThreshold);
}

/** Clears the flags and forgives the verdicts that were there to be seen; one that a later stage gives is not among them. */
export function forgive(situation: Situation): TaskControl {
  const { control, newest } = situation;
  const forgiven = { ...control.forgiven };
  for (const judge of JUDGES) forgiven[judge] = newest[judge]?.iteration ?? forgiven[judge];
  return { ...control, flags: { guardrailBlocked: false, codeReviewRejected: false }, forgiven };
}

/** This iteration's block, unless it was overridden or approved; `remediable` when a re-run may repair it. */
export function standingBlock(situation: Situation): { remediable: boolean } | null {
  return current(situation, 'guardrail') === null ? null : lastBlock(situation);
}

/** `standingBlock` of the iteration in which the guardrail ran last. */
export function lastBlock({ newest, control }: Situation): { remediable: boolean } | null {
  const record = newest.guardrail;
  if (record?.status !== 'complete' || isForgiven(control.forgiven.guardrail, record)) return null;
  const output = record.output as { blocked?: boolean; findings?: { type: string }[] };
  if (output.blocked === false) return null;
  const findings = output.findings ?? [];
  return { remediable: findings.length > 0 && findings.every(({ type }) => REMEDIABLE.includes(type)) };
}

/** This iteration's verdict of the code review, unless it was overridden or approved. */
export function standingVerdict(situation: Situation): string | null {
  return current(situation, 'code_review') === null ? null : lastVerdict(situation);
}

/** `standingVerdict` of the iteration in which the code review ran last. */
export function lastVerdict({ newest, control }: Situation): string | null {
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
