import { evaluateCondition, isJudge, roleKind, stepsOf, type AgentSnapshot } from '../../pods/index.js';
import { listed, openGate, openTraps, openUnseen, trapsGate } from './gates.js';
import { failTask, NO_EFFECTS, type Effects, type Next } from './next.js';
import { current, iterationOf, taskStepOf, type Situation } from './situation.js';
import { stageKey, type StageKey, type TaskControl } from './task-control.js';
import type { Role } from './task-status.js';
import {
  conditionFlags,
  forgive,
  lastBlock,
  lastVerdict,
  needsPerson,
  rerunCauses,
  standingBlock,
  standingVerdict,
} from './verdicts.js';

/**
 * What happens after a stage: the pipeline's rules, pure. A *step* is one stage, or the stages of one parallel group. The
 * executor runs the steps that `enter` and `afterStep` name and stores what they decide; nothing else decides.
 */

/** Begins the part of a stage's error that quotes its model: the stage and a task that failed tell it, gates do not. */
export const QUOTED_ANSWER = '\nIt sent: ';

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
      ended.find((agent) => roleKind(agent.role) === 'decides')?.role ?? null,
      situation.control.flags,
    )
  );
}

/** How a stage of `role` that has just failed is stored: as skipped where the pod says so and its retries are used up. */
export function failureStatus(situation: Situation, role: Role): 'failed' | 'skipped' {
  const agent = situation.pod.agents.find((candidate) => candidate.role === role);
  return agent?.onFailure === 'skip' && retriesSpent(situation, role) ? 'skipped' : 'failed';
}

function isUnfinished(situation: Situation, role: Role): boolean {
  const record = current(situation, role);
  if (record?.status === 'running') return true;
  if (record?.status !== 'failed') return false;
  return record.attempt < (situation.control.allowedAttempts[stageKey(role, record.iteration)] ?? 1);
}

function applies(situation: Situation, agent: AgentSnapshot): boolean {
  const { guardrailBlocked, codeReviewRejected } = situation.control.flags;
  if (roleKind(agent.role) === 'decides' && !guardrailBlocked && !codeReviewRejected) return false;
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
  const taskStep = taskStepOf(pod);
  if (!ended.some(({ role }) => isJudge(role)) || taskStep < 0 || taskStep >= control.step) return null;
  const causes = rerunCauses(situation).filter((role) => {
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

/** On to the next step; after the stage of `decider` as it decided, unless a verdict was added to the flags that it had `seen`. */
function proceed(situation: Situation, decider: Role | null, seen: TaskControl['flags']): Next {
  const next: Situation = { ...situation, control: { ...situation.control, step: situation.control.step + 1 } };
  if (decider === null) return enter(next);
  const output = current(situation, decider)?.output as { action?: string; escalation_message?: string } | null;
  const { flags } = situation.control;
  if (flags.guardrailBlocked !== seen.guardrailBlocked || flags.codeReviewRejected !== seen.codeReviewRejected) {
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
