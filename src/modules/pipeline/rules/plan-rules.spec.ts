import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { PipelineRules, type Attempt, type Facts, type Verdict } from '../../../../test/support/pipeline-rules.js';
import type { AgentSnapshot, PodSnapshot, RunCondition } from '../../pods/index.js';
import { approved } from './gates.js';
import type { Next } from './next.js';
import { afterStep, enter, failureStatus } from './plan.js';
import { situationOf } from './situation.js';
import { SEVERITIES, type Severity } from '../../pods/index.js';
import { initialControl, type GateKind, type TaskControl } from './task-control.js';
import type { KnownFinding, StageHistoryRecord } from '../store/loaded-tasks.repository.js';
import { ROLES, type Role } from './task-status.js';
import { agentSnapshot, podSnapshot } from '../../../../test/support/pods.js';
import { runningStage } from '../../../../test/support/tasks.js';

interface Finding {
  type: string;
  severity: Severity;
  deterministic: boolean;
}

/** What befalls a stage each time it runs. `cut` is everything that leaves it unfinished: a crash, a pause, a cost gate. */
interface Fate {
  ends: 'complete' | 'failed' | 'unknown' | 'cut';
  blocked: boolean;
  findings: Finding[];
  verdict: string;
  action: string;
  changes: boolean;
}

const KIND: Fate = {
  ends: 'complete',
  blocked: false,
  findings: [],
  verdict: 'pass',
  action: 'override',
  changes: false,
};

const condition = fc.letrec<{ one: RunCondition }>((tie) => ({
  one: fc.oneof(
    { depthSize: 'small', maxDepth: 2 },
    fc.record({ type: fc.constantFrom('always', 'never', 'on_pass', 'on_fail') }),
    fc.record({
      type: fc.constantFrom('on_flag', 'not_flag'),
      flag: fc.constantFrom('guardrail_blocked', 'code_review_passed', 'code_review_rejected', 'has_code_artifacts'),
    }),
    fc.record({
      type: fc.constantFrom('and', 'or'),
      conditions: fc.array(tie('one'), { minLength: 1, maxLength: 2 }),
    }),
  ) as fc.Arbitrary<RunCondition>,
})).one;

/** Mostly the usual team. */
const order: fc.Arbitrary<Role[]> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Role[]>([...ROLES]) },
  { weight: 1, arbitrary: fc.shuffledSubarray<Role>([...ROLES], { minLength: 1 }) },
);

const agents = fc
  .record({
    roles: order,
    settings: fc.array(
      fc.record({
        parallelGroup: fc.constantFrom(null, null, 'a', 'b'),
        maxRetries: fc.nat(2),
        onFailure: fc.constantFrom('abort', 'escalate', 'skip'),
        runCondition: fc.option(condition, { freq: 2 }),
      }),
      { minLength: 5, maxLength: 5 },
    ),
  })
  .map(({ roles, settings }) =>
    roles.map((role, index): AgentSnapshot => {
      const { onFailure, ...rest } = settings[index]!;
      return agentSnapshot(role, index, {
        ...rest,
        onFailure: onFailure === 'skip' && role !== 'context' ? 'abort' : (onFailure as AgentSnapshot['onFailure']),
      });
    }),
  );

const fate = fc.record<Fate>({
  ends: fc.oneof(
    { weight: 8, arbitrary: fc.constant('complete' as const) },
    { weight: 2, arbitrary: fc.constantFrom('failed' as const, 'cut' as const) },
    { weight: 1, arbitrary: fc.constant('unknown' as const) },
  ),
  blocked: fc.boolean(),
  findings: fc.array(
    fc.record({
      type: fc.constantFrom('prompt_injection', 'pii_exposure', 'credential_leak', 'spec_drift', 'other'),
      severity: fc.constantFrom(...SEVERITIES),
      deterministic: fc.boolean(),
    }),
    { maxLength: 2 },
  ),
  verdict: fc.constantFrom('pass', 'needs_refactor', 'reject'),
  action: fc.constantFrom('override', 'escalate'),
  changes: fc.boolean(),
});

const team = fc.record({
  agents,
  requireHumanReview: fc.constantFrom('always' as const, 'never' as const, 'on_escalation' as const),
  escalationThreshold: fc.constantFrom(...SEVERITIES),
  maxRetries: fc.nat(2),
  fates: fc.array(fate, { maxLength: 40 }),
});
type Team = typeof team extends fc.Arbitrary<infer T> ? T : never;

/** More transitions than any task of these can need: every one ends, or the rules go in circles. */
const MOST_MOVES = 400;

/** Plays one task, asking the plan and the rules at each turn; every person says yes. */
class Play {
  readonly pod: PodSnapshot;
  readonly stages: StageHistoryRecord[] = [];
  readonly known: KnownFinding[] = [];
  readonly facts: Facts;
  readonly rules: PipelineRules;
  control: TaskControl = initialControl(null);
  runs = 0;
  /** The last turns at which a person approved, and at which the decision agent overrode. */
  private approvedAt = -1;
  private overrodeAt = -1;
  private readonly judgedAt = new Map<Role, number>();
  private turn = 0;

  constructor(private readonly given: Team) {
    this.pod = podSnapshot(given.agents, {
      requireHumanReview: given.requireHumanReview,
      escalationThreshold: given.escalationThreshold,
    });
    this.facts = {
      agents: given.agents.map(({ role, parallelGroup, maxRetries, onFailure, runCondition }) => ({
        role,
        group: parallelGroup,
        maxRetries,
        onFailure,
        condition: runCondition as never,
      })),
      review: given.requireHumanReview,
      threshold: given.escalationThreshold,
      maxRetries: given.maxRetries,
      attempts: [],
      findings: [],
      hasChanges: false,
      content: '',
    };
    this.rules = new PipelineRules(this.facts);
  }

  situation() {
    const { pod, control, stages, known } = this;
    return situationOf({ pod, control, maxRetries: this.given.maxRetries, stages, findings: known });
  }

  play(): Next {
    let next = this.agreed(enter(this.situation()), this.rules.goOn());
    for (; this.turn < MOST_MOVES; this.turn += 1) {
      if (next.kind === 'run') {
        const cut = this.run(next.roles);
        next = cut
          ? this.agreed(enter(this.situation()), this.rules.goOn())
          : this.agreed(afterStep(this.situation()), this.rules.stepEnded());
      } else if (next.kind === 'retry') {
        next = this.agreed(enter(this.situation()), this.rules.goOn());
      } else if (next.kind === 'gate') {
        this.approve(next.gate);
        next = this.agreed(enter(this.situation()), this.rules.goOn());
      } else {
        return next;
      }
    }
    throw new Error('the task goes in circles');
  }

  /** Both say the same; what they say is noted, as it would be stored and read back. */
  private agreed(next: Next, verdict: Verdict): Next {
    const roles = next.kind === 'run' || next.kind === 'retry' ? { roles: next.roles } : {};
    const why = next.kind === 'gate' ? { why: next.gate } : next.kind === 'fail' ? { why: next.code } : {};
    expect({ next: next.kind, ...roles, ...why, ...next.effects }).toEqual(verdict);
    this.control = JSON.parse(JSON.stringify(next.control)) as TaskControl;
    for (const finding of this.known) if (next.effects.overridden.includes(finding.id)) finding.open = false;
    this.look();
    return next;
  }

  /** True when a stage was left unfinished. */
  private run(roles: readonly Role[]): boolean {
    let cut = false;
    for (const role of roles) {
      const fated = this.given.fates[this.runs] ?? KIND;
      this.runs += 1;
      cut = this.end(role, fated) === 'running' || cut;
      this.look();
    }
    return cut;
  }

  private end(role: Role, fated: Fate): StageHistoryRecord['status'] {
    const stage = this.begun(role);
    if (fated.ends === 'cut') return stage.status;
    if (fated.ends !== 'complete') {
      stage.errorCode = fated.ends === 'unknown' ? 'tool_effect' : 'model_refused';
      stage.status = fated.ends === 'unknown' ? 'failed' : failureStatus(this.situation(), role);
      if (fated.ends === 'failed') expect(stage.status).toBe(this.rules.failedFor(role));
      return stage.status;
    }
    stage.status = 'complete';
    this.judgedAt.set(role, this.turn);
    if (role === 'task') this.control.diffHash = fated.changes ? `diff ${this.runs}` : null;
    if (role === 'guardrail') {
      const blocked = fated.blocked || fated.findings.some(({ deterministic }) => deterministic);
      stage.output = { blocked, findings: fated.findings };
      for (const finding of this.known) if (finding.iteration < stage.iteration) finding.open = false;
      for (const finding of fated.findings) {
        const id = `finding ${this.known.length}`;
        this.known.push({ ...finding, id, iteration: stage.iteration, open: true });
      }
    } else if (role === 'code_review') stage.output = { verdict: fated.verdict };
    else stage.output = role === 'decision' ? { action: fated.action } : { run: this.runs };
    if (role === 'decision' && fated.action === 'override') this.overrodeAt = this.turn;
    return stage.status;
  }

  private begun(role: Role): StageHistoryRecord {
    const newest = this.stages.findLast((stage) => stage.role === role);
    if (newest?.status === 'running') return newest;
    const outOfLoop = this.loops(role) ? this.control.iteration : 1;
    const attempt = newest?.iteration === outOfLoop ? newest.attempt + 1 : 1;
    const stage = runningStage(role, { id: `stage ${this.stages.length}`, iteration: outOfLoop, attempt });
    this.stages.push(stage);
    return stage;
  }

  /** Whether the role stands with the task or after it. */
  private loops(role: Role): boolean {
    const roles = this.pod.agents.map((agent) => agent.role);
    const at = roles.indexOf('task');
    if (at < 0) return false;
    let from = at;
    const group = this.pod.agents[at]?.parallelGroup ?? null;
    while (group !== null && this.pod.agents[from - 1]?.parallelGroup === group) from -= 1;
    return roles.indexOf(role) >= from;
  }

  private approve(gate: GateKind): void {
    expect(this.pod.requireHumanReview).not.toBe('never');
    this.control = approved(gate, this.situation());
    this.rules.approve(gate);
    if (gate === 'stage_error' || gate === 'tool_effect') return;
    for (const finding of this.known) finding.open = false;
    this.approvedAt = this.turn;
    this.look();
  }

  /** Brings what the rules look at up to date. */
  private look(): void {
    const { findings, contentHash } = this.situation();
    this.facts.findings = findings.map(({ id, severity, deterministic }) => ({ id, severity, deterministic }));
    this.facts.content = contentHash();
    this.facts.hasChanges = this.control.diffHash !== null;
    for (const [index, { role, iteration, status, output, errorCode }] of this.stages.entries()) {
      const attempt: Attempt = { role, iteration, status, output, unknownEffect: errorCode === 'tool_effect' };
      const seen = this.facts.attempts[index];
      if (seen === undefined) this.facts.attempts.push(attempt);
      else Object.assign(seen, attempt);
    }
  }

  /** What holds at the end, whatever led there. */
  expectRightEnd(end: Next): void {
    const { newest, findings, contentHash } = this.situation();
    const { agents: members, maxRetries } = this.given;
    if (end.kind === 'complete') {
      const pardoned = (role: Role): boolean => {
        const judged = this.judgedAt.get(role) ?? Infinity;
        return this.approvedAt >= judged || this.overrodeAt > judged;
      };
      const guardrail = newest.guardrail?.output as { blocked: boolean } | null | undefined;
      if (guardrail?.blocked) expect(pardoned('guardrail')).toBe(true);
      const review = newest.code_review?.output as { verdict: string } | null | undefined;
      if (review && review.verdict !== 'pass') expect(pardoned('code_review')).toBe(true);
      const rank = (severity: Severity): number => SEVERITIES.indexOf(severity);
      const serious = findings.filter(
        ({ severity, deterministic }) => deterministic || rank(severity) >= rank(this.pod.escalationThreshold),
      );
      expect(serious).toEqual([]);
      for (const record of Object.values(newest)) expect(['complete', 'skipped']).toContain(record.status);
      if (this.pod.requireHumanReview === 'always') expect(this.control.approvedHash).toBe(contentHash());
    } else {
      expect(end.kind).toBe('fail');
    }
    const budget = (role: Role): number => members.find((agent) => agent.role === role)?.maxRetries ?? 0;
    expect(this.control.iteration).toBeLessThanOrEqual(1 + budget('guardrail') + budget('code_review'));
    for (const used of Object.values(this.control.retries)) expect(used).toBeLessThanOrEqual(maxRetries);
  }
}

describe('any team, whatever befalls its stages', () => {
  it('goes the way that the rules say, and ends rightly', () => {
    const ends = new Map<string, number>();
    fc.assert(
      fc.property(team, (given) => {
        const game = new Play(given);
        const end = game.play();
        game.expectRightEnd(end);
        ends.set(end.kind, (ends.get(end.kind) ?? 0) + 1);
      }),
      { numRuns: 3_000 },
    );
    // The property speaks of both ends.
    expect(ends.get('complete')).toBeGreaterThan(100);
    expect(ends.get('fail')).toBeGreaterThan(100);
  });
});
