/**
 * The rules of what happens after a stage, written once more from their description and apart from the code's own plan, for
 * the tests that let both judge the same tasks.
 */
type Role = 'context' | 'task' | 'guardrail' | 'code_review' | 'decision';
type Judge = 'guardrail' | 'code_review';

export type RuleCondition =
  | { type: 'always' | 'never' | 'on_pass' | 'on_fail' }
  | { type: 'on_flag' | 'not_flag'; flag: string }
  | { type: 'and' | 'or'; conditions: RuleCondition[] };

export interface RuleAgent {
  role: Role;
  group: string | null;
  /** Re-runs that its verdicts may cause. */
  maxRetries: number;
  onFailure: 'abort' | 'escalate' | 'skip';
  condition: RuleCondition | null;
}

/** One attempt of one stage, as it stands. */
export interface Attempt {
  role: Role;
  iteration: number;
  status: 'running' | 'complete' | 'failed' | 'skipped' | 'cancelled';
  output: unknown;
  /** A tool call of it has an outcome that nobody knows. */
  unknownEffect: boolean;
}

export interface RuleFinding {
  id: string;
  severity: string;
  deterministic: boolean;
}

/** What the rules look at; the owner keeps it up to date. */
export interface Facts {
  agents: RuleAgent[];
  review: 'always' | 'never' | 'on_escalation';
  threshold: string;
  /** Retries that each iteration of a stage may use. */
  maxRetries: number;
  /** Oldest first. */
  attempts: Attempt[];
  /** Open ones of the guardrail's newest iteration. */
  findings: RuleFinding[];
  hasChanges: boolean;
  content: string;
}

export interface Verdict {
  next: 'run' | 'retry' | 'gate' | 'fail' | 'complete';
  roles?: Role[];
  /** Of a gate, or of the failure where nobody may be asked. */
  why?: string;
  overridden: string[];
}

const SEVERITIES = ['low', 'medium', 'high', 'critical'];
const REPAIRABLE = ['prompt_injection', 'pii_exposure', 'credential_leak'];

export class PipelineRules {
  private at = 0;
  private round = 1;
  private blocked = false;
  private rejected = false;
  private readonly causedReruns = { guardrail: 0, code_review: 0 };
  private readonly usedRetries = new Map<string, number>();
  /** Failed attempts that are followed by another one. */
  private readonly repeated = new Set<Attempt>();
  /** Verdicts that an override or a person's approval came after. */
  private readonly pardoned = new Set<Attempt>();
  private approvedContent: string | null = null;
  private readonly steps: RuleAgent[][] = [];
  private readonly taskAt: number;
  private overridden: string[] = [];

  constructor(private readonly facts: Facts) {
    let group: string | null = null;
    for (const agent of facts.agents) {
      if (agent.group !== null && agent.group === group) this.steps.at(-1)?.push(agent);
      else this.steps.push([agent]);
      group = agent.group;
    }
    this.taskAt = this.steps.findIndex((step) => step.some(({ role }) => role === 'task'));
  }

  /** What runs now, on a task that was just submitted or is taken up again. */
  goOn(): Verdict {
    this.overridden = [];
    return this.advance();
  }

  /** What follows when the last stage of the step has ended. */
  stepEnded(): Verdict {
    this.overridden = [];
    const members = this.steps[this.at] ?? [];
    return this.errors(members) ?? this.loop(members) ?? this.flagsAndDecision(members);
  }

  /** What a stage that just failed counts as. */
  failedFor(role: Role): 'failed' | 'skipped' {
    return this.agent(role)?.onFailure === 'skip' && this.isExhausted(role) ? 'skipped' : 'failed';
  }

  approve(gate: string): void {
    if (gate === 'stage_error' || gate === 'tool_effect') {
      for (const { role } of this.steps[this.at] ?? []) {
        const attempt = this.newest(role);
        if (attempt?.status === 'failed') this.repeated.add(attempt);
      }
    } else {
      this.pardonAll();
      this.approvedContent = this.facts.content;
    }
  }

  private advance(): Verdict {
    for (; this.at < this.steps.length; this.at += 1) {
      const step = this.steps[this.at] ?? [];
      const entered = step.some(({ role }) => this.newest(role) !== undefined);
      const roles = step.filter((agent) => (entered ? this.isOpen(agent.role) : this.isWanted(agent)));
      if (roles.length > 0) return this.say('run', { roles: roles.map(({ role }) => role) });
    }
    return this.end();
  }

  private errors(members: RuleAgent[]): Verdict | null {
    const failed = members.filter(({ role }) => this.newest(role)?.status === 'failed');
    if (failed.some(({ role }) => this.newest(role)?.unknownEffect)) return this.gate('tool_effect');
    const exhausted = failed.filter(({ role }) => this.isExhausted(role));
    if (exhausted.some(({ onFailure }) => onFailure === 'abort')) return this.say('fail', { why: 'stage_failed' });
    const again = failed.filter((agent) => !exhausted.includes(agent)).map(({ role }) => role);
    for (const role of again) {
      this.usedRetries.set(this.key(role), (this.usedRetries.get(this.key(role)) ?? 0) + 1);
      this.repeated.add(this.newest(role)!);
    }
    if (again.length > 0) return this.say('retry', { roles: again });
    return exhausted.length > 0 ? this.gate('stage_error') : null;
  }

  private loop(members: RuleAgent[]): Verdict | null {
    const judged = members.some(({ role }) => (role === 'guardrail' || role === 'code_review') && this.newest(role));
    if (!judged || this.taskAt < 0 || this.at <= this.taskAt) return null;
    const findings = this.blockOf(this.newest('guardrail'));
    if (findings !== null && (findings.length === 0 || findings.some((type) => !REPAIRABLE.includes(type))))
      return null;
    const asking: Judge[] = [];
    if (findings !== null) asking.push('guardrail');
    if (this.verdictOf(this.newest('code_review')) === 'needs_refactor') asking.push('code_review');
    const granted = asking.filter((role) => this.causedReruns[role] < (this.agent(role)?.maxRetries ?? 0));
    if (granted.length === 0) return null;
    for (const role of granted) this.causedReruns[role] += 1;
    this.round += 1;
    this.at = this.taskAt;
    this.blocked = this.rejected = false;
    return this.advance();
  }

  private flagsAndDecision(members: RuleAgent[]): Verdict {
    const known = `${this.blocked} ${this.rejected}`;
    if (this.blockOf(this.newest('guardrail')) !== null) this.blocked = true;
    if ((this.verdictOf(this.newest('code_review')) ?? 'pass') !== 'pass') this.rejected = true;
    const news = known !== `${this.blocked} ${this.rejected}`;
    this.at += 1;
    const decision = members.some(({ role }) => role === 'decision') ? this.newest('decision') : undefined;
    if (decision === undefined) return this.advance();
    const { action } = (decision.output ?? {}) as { action?: string };
    if (action !== 'override' || news) return this.gate('escalation');
    this.overridden = this.facts.findings.filter((finding) => !this.isSerious(finding)).map(({ id }) => id);
    this.pardonAll();
    return this.advance();
  }

  private end(): Verdict {
    const last = (role: Role): Attempt | undefined => this.facts.attempts.findLast((attempt) => attempt.role === role);
    const stands =
      this.blockOf(last('guardrail')) !== null || (this.verdictOf(last('code_review')) ?? 'pass') !== 'pass';
    if (this.blocked || this.rejected || stands) return this.gate('escalation');
    const open = this.facts.findings.filter(({ id }) => !this.overridden.includes(id));
    if (open.some((finding) => this.isSerious(finding))) return this.gate('finding');
    if (this.facts.review === 'always' && this.approvedContent !== this.facts.content) return this.gate('final');
    return this.say('complete');
  }

  private gate(kind: string): Verdict {
    return this.facts.review === 'never' ? this.say('fail', { why: `gate_${kind}` }) : this.say('gate', { why: kind });
  }

  private say(next: Verdict['next'], more: Partial<Verdict> = {}): Verdict {
    return { next, overridden: this.overridden, ...more };
  }

  private agent(role: Role): RuleAgent | undefined {
    return this.facts.agents.find((agent) => agent.role === role);
  }

  /** The role's newest attempt of the round that it is in: what stands before the task is never in a further one. */
  private newest(role: Role): Attempt | undefined {
    const at = this.steps.findIndex((step) => step.some((agent) => agent.role === role));
    const round = this.taskAt >= 0 && at >= this.taskAt ? this.round : 1;
    return this.facts.attempts.findLast((attempt) => attempt.role === role && attempt.iteration === round);
  }

  private key(role: Role): string {
    return `${role} ${this.newest(role)?.iteration}`;
  }

  private isExhausted(role: Role): boolean {
    return (this.usedRetries.get(this.key(role)) ?? 0) >= this.facts.maxRetries;
  }

  private isOpen(role: Role): boolean {
    const attempt = this.newest(role);
    return attempt !== undefined && (attempt.status === 'running' || this.repeated.has(attempt));
  }

  private isWanted({ role, condition }: RuleAgent): boolean {
    if (role === 'decision' && !this.blocked && !this.rejected) return false;
    return condition === null || this.holds(condition);
  }

  private holds(condition: RuleCondition): boolean {
    if (condition.type === 'and') return condition.conditions.every((inner) => this.holds(inner));
    if (condition.type === 'or') return condition.conditions.some((inner) => this.holds(inner));
    if (condition.type === 'on_flag') return this.flag(condition.flag);
    if (condition.type === 'not_flag') return !this.flag(condition.flag);
    if (condition.type === 'on_pass') return !(this.blocked || this.rejected);
    if (condition.type === 'on_fail') return this.blocked || this.rejected;
    return condition.type === 'always';
  }

  private flag(name: string): boolean {
    if (name === 'guardrail_blocked') return this.blocked;
    if (name === 'code_review_rejected') return this.rejected;
    if (name === 'has_code_artifacts') return this.facts.hasChanges;
    const review = this.newest('code_review');
    return review?.status === 'complete' && (review.output as { verdict?: string }).verdict === 'pass';
  }

  /** Types of the findings of a block that nobody pardoned; null where there is no block. */
  private blockOf(attempt: Attempt | undefined): string[] | null {
    if (attempt?.status !== 'complete' || this.pardoned.has(attempt)) return null;
    const { blocked, findings } = attempt.output as { blocked: boolean; findings: { type: string }[] };
    return blocked ? findings.map(({ type }) => type) : null;
  }

  private verdictOf(attempt: Attempt | undefined): string | null {
    if (attempt?.status !== 'complete' || this.pardoned.has(attempt)) return null;
    return (attempt.output as { verdict: string }).verdict;
  }

  private isSerious({ severity, deterministic }: RuleFinding): boolean {
    return deterministic || SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(this.facts.threshold);
  }

  private pardonAll(): void {
    for (const attempt of this.facts.attempts) this.pardoned.add(attempt);
    this.blocked = this.rejected = false;
  }
}
