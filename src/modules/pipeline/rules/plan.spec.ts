import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isJudge, stepsOf, type AgentSnapshot, type PodSnapshot } from '../../pods/index.js';
import { approved } from './gates.js';
import { afterStep, enter, failureStatus } from './plan.js';
import type { OpenFinding, Situation, StageRecord } from './situation.js';
import { initialControl, type TaskControl } from './task-control.js';
import { agentSnapshot, podSnapshot } from '../../../../test/support/pods.js';
import { ROLES, type Role } from './task-status.js';

function agent(role: Role, position: number, changes: Partial<AgentSnapshot> = {}): AgentSnapshot {
  return agentSnapshot(role, position, {
    parallelGroup: isJudge(role) ? 'review' : null,
    maxRetries: isJudge(role) ? 3 : 0,
    onFailure: role === 'context' || role === 'task' ? 'abort' : 'escalate',
    ...changes,
  });
}

function quartet(
  changes: Partial<PodSnapshot> = {},
  agents: Partial<Record<Role, Partial<AgentSnapshot> | null>> = {},
): PodSnapshot {
  const team = ROLES.flatMap((role, index) =>
    agents[role] === null ? [] : [agent(role, index + 1, agents[role] ?? {})],
  );
  return podSnapshot(team, changes);
}

let ids = 0;
function done(role: Role, output: unknown, iteration = 1): StageRecord {
  ids += 1;
  return { id: `s${ids}`, role, iteration, attempt: 1, status: 'complete', output, error: null, errorCode: null };
}
function failed(role: Role, attempt = 1, iteration = 1): StageRecord {
  return { ...done(role, null, iteration), attempt, status: 'failed', error: 'it broke' };
}

const CLEAN = { blocked: false, findings: [] };
const LEAK = { blocked: true, findings: [{ type: 'credential_leak' }] };
const HARM = { blocked: true, findings: [{ type: 'harmful_content' }] };
const EMPTY_BLOCK = { blocked: true, findings: [] };

/** The situation after the review step of the Quartet. */
function reviewed(
  guardrail: unknown,
  verdict: string,
  changes: { pod?: PodSnapshot; control?: Partial<TaskControl>; findings?: OpenFinding[]; maxRetries?: number } = {},
): Situation {
  const control: TaskControl = { ...initialControl(null), step: 2, ...changes.control };
  return {
    pod: changes.pod ?? quartet(),
    control,
    maxRetries: changes.maxRetries ?? 2,
    newest: {
      context: done('context', {}),
      task: done('task', {}, control.iteration),
      guardrail: done('guardrail', guardrail, control.iteration),
      code_review: done('code_review', { verdict }, control.iteration),
    },
    findings: changes.findings ?? [],
    contentHash: () => 'hash',
  };
}

function finding(changes: Partial<OpenFinding> = {}): OpenFinding {
  return { id: 'f1', type: 'credential_leak', severity: 'high', deterministic: false, ...changes };
}

describe('steps', () => {
  it('puts neighbours of one parallel group together, and nobody else', () => {
    expect(stepsOf(quartet()).map((step) => step.map((member) => member.role))).toEqual([
      ['context'],
      ['task'],
      ['guardrail', 'code_review'],
      ['decision'],
    ]);
    expect(stepsOf(quartet({}, { code_review: { parallelGroup: 'other' } }))).toHaveLength(5);
  });

  it('begins at the first stage whose condition holds', () => {
    const pod = quartet({}, { context: { runCondition: { type: 'never' } } });
    expect(enter({ ...reviewed(CLEAN, 'pass', { pod }), control: initialControl(null), newest: {} })).toMatchObject({
      kind: 'run',
      roles: ['task'],
    });
  });
});

describe('after the review', () => {
  it('completes clean, passed work without a decision', () => {
    expect(afterStep(reviewed(CLEAN, 'pass'))).toMatchObject({ kind: 'complete' });
  });

  it('runs the task again for a refactor verdict, and counts it', () => {
    const next = afterStep(reviewed(CLEAN, 'needs_refactor'));
    expect(next).toMatchObject({
      kind: 'run',
      roles: ['task'],
      control: { step: 1, iteration: 2, reruns: { guardrail: 0, code_review: 1 } },
    });
  });

  it('counts one re-run caused by both for both', () => {
    expect(afterStep(reviewed(LEAK, 'needs_refactor'))).toMatchObject({
      kind: 'run',
      control: { reruns: { guardrail: 1, code_review: 1 } },
    });
  });

  it('flags a refactor whose budget is gone, and asks the decision agent', () => {
    const next = afterStep(
      reviewed(CLEAN, 'needs_refactor', { control: { iteration: 4, reruns: { guardrail: 0, code_review: 3 } } }),
    );
    expect(next).toMatchObject({ kind: 'run', roles: ['decision'], control: { flags: { codeReviewRejected: true } } });
  });

  it.each([
    ['not remediable', HARM],
    ['without findings', EMPTY_BLOCK],
  ])('does not loop on a block that is %s, also beside a refactor verdict', (_, guardrail) => {
    expect(afterStep(reviewed(guardrail, 'needs_refactor'))).toMatchObject({
      kind: 'run',
      roles: ['decision'],
      control: { iteration: 1, flags: { guardrailBlocked: true, codeReviewRejected: true } },
    });
  });

  it('opens an escalation gate where no decision agent is enabled', () => {
    const pod = quartet({}, { decision: null });
    expect(afterStep(reviewed(CLEAN, 'reject', { pod }))).toMatchObject({ kind: 'gate', gate: 'escalation' });
  });

  it('opens an escalation gate where the decision agent’s condition does not hold', () => {
    const pod = quartet({}, { decision: { runCondition: { type: 'on_flag', flag: 'guardrail_blocked' } } });
    expect(afterStep(reviewed(CLEAN, 'reject', { pod }))).toMatchObject({ kind: 'gate', gate: 'escalation' });
  });

  it('never reads a missing verdict as a pass', () => {
    for (const output of [{}, null, { verdict: 'PASS' }]) {
      const situation = reviewed(CLEAN, 'pass');
      situation.newest.code_review = done('code_review', output);
      expect(afterStep(situation).kind).not.toBe('complete');
    }
    const silent = reviewed({}, 'pass');
    expect(afterStep(silent).kind).not.toBe('complete');
  });
});

describe('the decision', () => {
  function decided(output: unknown, findings: OpenFinding[], pod = quartet()): Situation {
    const situation = reviewed(HARM, 'pass', { pod, findings });
    return {
      ...situation,
      control: { ...situation.control, step: 3, flags: { guardrailBlocked: true, codeReviewRejected: false } },
      newest: { ...situation.newest, decision: done('decision', output) },
    };
  }

  it('clears the flag and small findings with an override', () => {
    const small = finding({ severity: 'low' });
    expect(afterStep(decided({ action: 'override' }, [small]))).toMatchObject({
      kind: 'complete',
      effects: { overridden: ['f1'] },
    });
  });

  it.each([
    ['at the threshold', finding({ severity: 'medium' })],
    ['deterministic', finding({ severity: 'low', deterministic: true })],
  ])('cannot clear a finding that is %s', (_, open) => {
    expect(afterStep(decided({ action: 'override' }, [open]))).toMatchObject({
      kind: 'gate',
      gate: 'finding',
      effects: { overridden: [] },
    });
  });

  it.each([[{ action: 'escalate', escalation_message: 'look' }], [{}], [null], [{ action: 'approve' }]])(
    'escalates for anything but an override: %j',
    (output) => {
      expect(afterStep(decided(output, []))).toMatchObject({ kind: 'gate', gate: 'escalation' });
    },
  );

  it('turns every gate into a failure where the pod wants nobody', () => {
    const pod = quartet({ requireHumanReview: 'never' });
    expect(afterStep(decided({ action: 'escalate' }, [], pod))).toMatchObject({
      kind: 'fail',
      code: 'gate_escalation',
    });
  });
});

describe('verdicts that an override or an approval has not seen', () => {
  const late = quartet(
    {},
    { guardrail: { parallelGroup: null }, decision: { position: 4 }, code_review: { position: 5 } },
  );
  late.agents.sort((one, other) => one.position - other.position);

  it('are not forgiven by a decision that came before them', () => {
    const situation = reviewed(HARM, 'pass', { pod: late });
    delete situation.newest.code_review;
    situation.control.step = 3;
    situation.control.flags.guardrailBlocked = true;
    situation.newest.decision = done('decision', { action: 'override' });
    const next = afterStep(situation);
    expect(next).toMatchObject({ kind: 'run', roles: ['code_review'] });
    const rejected = { ...situation.newest, code_review: done('code_review', { verdict: 'reject' }) };
    expect(afterStep({ ...situation, control: next.control, newest: rejected })).toMatchObject({ gate: 'escalation' });
  });

  it('are not forgiven by a person who approved before them', () => {
    const situation = reviewed(HARM, 'pass', { pod: late });
    delete situation.newest.code_review;
    const control = { ...approved('escalation', situation), step: 4 };
    const rejected = { ...situation.newest, code_review: done('code_review', { verdict: 'reject' }) };
    expect(afterStep({ ...situation, control, newest: rejected })).toMatchObject({ gate: 'escalation' });
  });

  it('are not forgiven by a decision that ran beside them', () => {
    const beside = quartet({}, { guardrail: { parallelGroup: null }, decision: { parallelGroup: 'review' } });
    const situation = reviewed(HARM, 'reject', { pod: beside, control: { step: 3 } });
    situation.control.flags = { guardrailBlocked: true, codeReviewRejected: false };
    situation.newest.decision = done('decision', { action: 'override' });
    expect(afterStep(situation)).toMatchObject({ kind: 'gate', gate: 'escalation' });
  });

  it('stand when the judge did not run again after the repair', () => {
    const onCode = { runCondition: { type: 'on_flag', flag: 'has_code_artifacts' } } as const;
    const pod = quartet({}, { guardrail: onCode, code_review: onCode });
    for (const [block, verdict] of [
      [LEAK, 'pass'],
      [CLEAN, 'needs_refactor'],
    ] as const) {
      const first = reviewed(block, verdict, { pod, control: { diffHash: 'h' } });
      const again = afterStep(first);
      expect(again).toMatchObject({ kind: 'run', roles: ['task'] });
      const control = { ...again.control, diffHash: null };
      const repaired: Situation = { ...first, control, newest: { ...first.newest, task: done('task', {}, 2) } };
      expect(afterStep(repaired)).toMatchObject({ kind: 'gate', gate: 'escalation' });
      const forgiven = { ...approved('escalation', repaired), step: 4 };
      expect(enter({ ...repaired, control: forgiven })).toMatchObject({ kind: 'complete' });
    }
  });
});

describe('a stage that has begun', () => {
  it('goes on although its condition no longer holds', () => {
    const pod = quartet({}, { guardrail: { runCondition: { type: 'not_flag', flag: 'code_review_passed' } } });
    const situation = reviewed(CLEAN, 'pass', { pod });
    situation.newest.guardrail = { ...done('guardrail', null), status: 'running' };
    expect(enter(situation)).toMatchObject({ kind: 'run', roles: ['guardrail'] });
  });

  it('gets its further attempt although its condition no longer holds', () => {
    const pod = quartet({}, { guardrail: { runCondition: { type: 'not_flag', flag: 'code_review_passed' } } });
    const situation = reviewed(CLEAN, 'pass', { pod });
    situation.newest.guardrail = failed('guardrail');
    const retry = afterStep(situation);
    expect(retry).toMatchObject({ kind: 'retry', roles: ['guardrail'] });
    expect(enter({ ...situation, control: retry.control })).toMatchObject({ kind: 'run', roles: ['guardrail'] });
  });

  it('does not bring in a neighbour that was left out on entry', () => {
    const pod = quartet({}, { guardrail: { runCondition: { type: 'on_flag', flag: 'code_review_passed' } } });
    const situation = reviewed(CLEAN, 'pass', { pod });
    delete situation.newest.guardrail;
    expect(enter(situation)).toMatchObject({ kind: 'complete' });
  });
});

describe('thresholds and the final gate', () => {
  it('opens a gate for an open finding at the threshold, and not below it', () => {
    expect(afterStep(reviewed(CLEAN, 'pass', { findings: [finding({ severity: 'medium' })] }))).toMatchObject({
      gate: 'finding',
    });
    expect(afterStep(reviewed(CLEAN, 'pass', { findings: [finding({ severity: 'low' })] }))).toMatchObject({
      kind: 'complete',
    });
  });

  it('asks for a final review once for the same content', () => {
    const pod = quartet({ requireHumanReview: 'always' });
    const situation = reviewed(CLEAN, 'pass', { pod });
    expect(afterStep(situation)).toMatchObject({ kind: 'gate', gate: 'final' });
    const control = approved('final', situation);
    expect(enter({ ...situation, control: { ...control, step: 4 } })).toMatchObject({ kind: 'complete' });
    expect(enter({ ...situation, contentHash: () => 'other', control: { ...control, step: 4 } })).toMatchObject({
      gate: 'final',
    });
  });
});

describe('work that no judge was shown', () => {
  const UNSEEN = { files: [{ path: 'logo.png', reason: 'binary' }], more: 0 };
  const unseen = (changes: Parameters<typeof reviewed>[2] = {}, guardrail: object = CLEAN): Situation =>
    reviewed({ ...guardrail, unseen: UNSEEN }, 'pass', changes);

  it('waits at a gate of its own that names it, and approving releases just that', () => {
    const situation = unseen();
    expect(afterStep(situation)).toMatchObject({
      gate: 'unseen',
      reason: 'No judge was shown all of the work: logo.png (binary).',
      details: { unseen: UNSEEN },
    });
    const control = { ...approved('unseen', situation, { listedUnseen: true }), step: 4 };
    expect(enter({ ...situation, control })).toMatchObject({ kind: 'complete' });
    expect(enter({ ...situation, control: { ...control, diffHash: 'another byte' } })).toMatchObject({
      gate: 'unseen',
    });
    const task = situation.newest.task;
    const again = { ...situation, newest: { ...situation.newest, task: task && { ...task, iteration: 7 } } };
    expect(enter({ ...again, control })).toMatchObject({ gate: 'unseen' });
    const more = {
      ...situation,
      newest: {
        ...situation.newest,
        code_review: done('code_review', {
          verdict: 'pass',
          unseen: { files: [{ path: 'other.bin', reason: 'large' }], more: 0 },
        }),
      },
    };
    expect(enter({ ...more, control })).toMatchObject({ gate: 'unseen' });
  });

  it.each(['escalation', 'finding', 'final'] as const)('is listed at the gate %s, and released with it', (gate) => {
    const situation = unseen(
      {
        ...(gate === 'final' ? { pod: quartet({ requireHumanReview: 'always' }) } : {}),
        ...(gate === 'finding' ? { findings: [finding({ severity: 'high' })] } : {}),
      },
      gate === 'escalation' ? HARM : CLEAN,
    );
    const waiting =
      gate === 'escalation'
        ? enter({ ...situation, control: { ...situation.control, step: 5 } })
        : afterStep(situation);
    expect(waiting).toMatchObject({ gate, details: { unseen: UNSEEN } });
    const control = { ...approved(gate, situation, { listedUnseen: true }), step: 5 };
    expect(enter({ ...situation, control, findings: [] })).toMatchObject({ kind: 'complete' });
    // A gate that did not list it releases nothing.
    const blind = { ...approved(gate, situation), step: 5 };
    expect(enter({ ...situation, control: blind, findings: [] })).toMatchObject({ gate: 'unseen' });
  });

  it.each(['cost', 'stage_error', 'tool_effect', 'publish_conflict'] as const)('is never released by %s', (gate) => {
    const control = { ...approved(gate, unseen(), { listedUnseen: true }), step: 4 };
    expect(enter({ ...unseen(), control })).toMatchObject({ gate: 'unseen' });
  });

  it('fails a task whose pod wants no person', () => {
    expect(afterStep(unseen({ pod: quartet({ requireHumanReview: 'never' }) }))).toMatchObject({
      kind: 'fail',
      code: 'gate_unseen',
    });
  });
});

describe('errors', () => {
  const broken = (role: Role, changes: Partial<TaskControl> = {}, pod = quartet(), maxRetries = 2): Situation => ({
    ...reviewed(CLEAN, 'pass', { pod, maxRetries, control: { step: ['context', 'task'].indexOf(role), ...changes } }),
    newest: { [role]: failed(role) },
  });

  it('retries up to the task’s limit, then aborts', () => {
    const first = afterStep(broken('task', { step: 1 }));
    expect(first).toMatchObject({
      kind: 'retry',
      roles: ['task'],
      retryNumber: 1,
      control: { retries: { 'task#1': 1 } },
    });
    expect(afterStep(broken('task', { step: 1, retries: { 'task#1': 2 } }))).toMatchObject({
      kind: 'fail',
      code: 'stage_failed',
    });
  });

  it('runs the stage again after the pause', () => {
    const situation = broken('task', { step: 1 });
    const next = afterStep(situation);
    expect(enter({ ...situation, control: next.control })).toMatchObject({ kind: 'run', roles: ['task'] });
  });

  it('skips context where the pod says so', () => {
    const pod = quartet({}, { context: { onFailure: 'skip' } });
    const situation = broken('context', {}, pod, 0);
    const status = failureStatus(situation, 'context');
    expect(status).toBe('skipped');
    situation.newest.context = { ...failed('context'), status };
    expect(afterStep(situation)).toMatchObject({ kind: 'run', roles: ['task'] });
    expect(failureStatus(broken('context', {}, pod, 1), 'context')).toBe('failed');
    expect(failureStatus(broken('context', {}, quartet(), 0), 'context')).toBe('failed');
  });

  it('follows the verdict of a judge beside a context that is skipped', () => {
    const pod = quartet({}, { context: { onFailure: 'skip', position: 3, parallelGroup: 'review' } });
    pod.agents.sort((one, other) => one.position - other.position);
    const situation = reviewed(LEAK, 'pass', { pod, maxRetries: 0, control: { step: 1 } });
    situation.newest.context = { ...failed('context'), status: failureStatus(situation, 'context') };
    expect(afterStep(situation)).toMatchObject({ kind: 'run', roles: ['task'], control: { iteration: 2 } });
  });

  it('opens a gate for an escalating stage, whose approval gives it one more attempt', () => {
    const situation = reviewed(CLEAN, 'pass', { maxRetries: 0 });
    situation.newest.guardrail = failed('guardrail');
    expect(afterStep(situation)).toMatchObject({ kind: 'gate', gate: 'stage_error', control: { step: 2 } });
    const control = approved('stage_error', situation);
    expect(enter({ ...situation, control })).toMatchObject({ kind: 'run', roles: ['guardrail'] });
  });
});

describe('what the owner’s git would obey', () => {
  const traps = { files: [{ path: 'lib/.git', kind: 'git_entry' as const }], more: 0, hash: 'one' };
  const done = (control: object) => {
    const situation = reviewed(CLEAN, 'pass', { control });
    return { ...situation, control: { ...situation.control, step: 5 } };
  };

  it('waits for a person, whoever has judged the work, until just that is let pass', () => {
    const next = enter(done({ traps }));
    expect(next).toMatchObject({ kind: 'gate', gate: 'finding', details: { traps } });
    const control = { ...approved('finding', done({ traps }), { traps: 'one' }), step: 5 };
    expect(enter({ ...done({ traps }), control })).toMatchObject({ kind: 'complete' });
    const other = { ...control, traps: { ...traps, hash: 'two' } };
    expect(enter({ ...done({ traps }), control: other })).toMatchObject({ kind: 'gate', gate: 'finding' });
  });

  it('is let pass by no approval that did not list it', () => {
    const blind = { ...approved('finding', done({ traps })), step: 5 };
    expect(enter({ ...done({ traps }), control: blind })).toMatchObject({ kind: 'gate', gate: 'finding' });
  });
});

describe('a tool whose outcome nobody knows', () => {
  it('waits for a person, also when its neighbour’s end came later', () => {
    const situation = reviewed(CLEAN, 'pass');
    situation.newest.guardrail = { ...failed('guardrail'), errorCode: 'tool_effect' };
    expect(afterStep(situation)).toMatchObject({ kind: 'gate', gate: 'tool_effect' });
    const control = approved('tool_effect', situation);
    expect(enter({ ...situation, control })).toMatchObject({ kind: 'run', roles: ['guardrail'] });
  });
});

describe('approving', () => {
  it('raises the cost limit once by the pod’s own amount', () => {
    const pod = quartet({ maxCostUsd: 2 });
    const situation = reviewed(CLEAN, 'pass', { pod, control: { costLimitUsd: 2 } });
    expect(approved('cost', situation).costLimitUsd).toBe(4);
  });

  it('lets the task’s files win over the versions that the gate showed, the last of each path', () => {
    const first = {
      conflicts: [
        { path: 'a', version: 'file:1' },
        { path: 'b', version: null },
      ],
    };
    const control = approved('publish_conflict', reviewed(CLEAN, 'pass'), first);
    expect(control).toMatchObject({ publishOver: [['a', 'file:1']], publishForce: [] });
    const again = {
      conflicts: [
        { path: 'a', version: 'file:2' },
        { path: 'c', version: 'absent' },
      ],
    };
    expect(approved('publish_conflict', reviewed(CLEAN, 'pass', { control }), again).publishOver).toEqual([
      ['a', 'file:2'],
      ['c', 'absent'],
    ]);
  });

  it('covers nothing of a conflict that was shown without versions', () => {
    expect(approved('publish_conflict', reviewed(CLEAN, 'pass'), {}).publishOver).toEqual([]);
  });
});

describe('whatever the verdicts', () => {
  const verdict = fc.constantFrom('pass', 'needs_refactor', 'reject');
  const guardrail = fc.constantFrom(CLEAN, LEAK, HARM, EMPTY_BLOCK);

  it('never completes blocked or rejected work without an override or a person', () => {
    fc.assert(
      fc.property(guardrail, verdict, fc.nat(4), fc.nat(4), (block, review, guardrailRuns, reviewRuns) => {
        const next = afterStep(
          reviewed(block, review, { control: { reruns: { guardrail: guardrailRuns, code_review: reviewRuns } } }),
        );
        if (next.kind === 'complete') {
          expect(block).toBe(CLEAN);
          expect(review).toBe('pass');
        }
      }),
    );
  });

  it('always ends: no verdicts loop more often than their budgets allow', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.tuple(guardrail, verdict)), (verdicts) => {
        let situation = reviewed(CLEAN, 'pass');
        for (let loops = 0; loops <= 6; loops += 1) {
          const { value } = verdicts.next();
          const [block, review] = value ?? [CLEAN, 'pass'];
          situation = reviewed(block, review, { control: { ...situation.control, step: 2 } });
          const next = afterStep(situation);
          if (!(next.kind === 'run' && next.roles[0] === 'task')) return true;
          situation = { ...situation, control: next.control };
        }
        return false;
      }),
    );
  });
});
