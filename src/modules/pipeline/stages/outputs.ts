import { z } from 'zod';
import { FINDING_TYPES, type Finding } from '../guardrail/finding.js';
import { SEVERITIES, type Severity } from '../../pods/index.js';
import type { Role } from '../rules/task-status.js';
import { lineNumber, requiredText, text, textOrNull, texts } from './forgiving.js';

/** Keys on which the way of a task depends: their values are exact, and none is given twice. */
export const DECIDING_KEYS = ['verdict', 'blocked', 'action', 'findings', 'issues', 'type', 'severity'] as const;

const UNDESCRIBED = '(no description)';

const severity = z.enum(SEVERITIES);

/** A list of objects; absent or null is an empty one. Of more than `most` the most severe stay. */
function judgements<Item extends z.ZodObject<{ severity: typeof severity }>>(item: Item, most: number) {
  const rank = (entry: unknown): number => SEVERITIES.indexOf((entry as { severity: Severity }).severity);
  return z.preprocess(
    (value) => value ?? [],
    z
      .array(item)
      .overwrite((list) => (list.length <= most ? list : list.sort((a, b) => rank(b) - rank(a)).slice(0, most))),
  );
}

const contextOutput = z.object({
  curated_context: requiredText(200_000).describe('Everything that whoever does the task has to know.'),
  relevant_files: texts({ items: 1_000, characters: 1_000 }).describe('Paths of files that matter.'),
  key_patterns: texts({ items: 200, characters: 4_000 }).describe('Conventions the work has to keep.'),
  recommendations: text(50_000).describe('How to go about it.'),
});

const taskOutput = z.object({
  output: requiredText(400_000).describe('The result itself, as the person who asked will read it.'),
  files_changed: texts({ items: 5_000, characters: 1_000 }).describe('Paths of the files that were changed.'),
  explanation: text(100_000).describe('What was done and why.'),
  commands_run: texts({ items: 1_000, characters: 10_000 }).describe('Commands that were run.'),
});

/** The answer of the guardrail's model; the deterministic findings are added to it. */
const guardrailOutput = z.object({
  blocked: z.boolean().describe('Whether the work must not be released as it is.'),
  findings: judgements(
    z.object({
      type: z.enum(FINDING_TYPES),
      severity,
      description: text(8_000, UNDESCRIBED),
      evidence: text(8_000).describe('The place, and the shortest quotation that shows it; never a whole secret.'),
    }),
    200,
  ),
  summary: text(20_000),
});

const codeReviewOutput = z.object({
  verdict: z.enum(['pass', 'needs_refactor', 'reject']),
  issues: judgements(
    z.object({
      severity,
      description: text(8_000, UNDESCRIBED),
      file: textOrNull(1_000),
      line: lineNumber(),
      suggestion: textOrNull(20_000),
    }),
    300,
  ),
  summary: text(20_000),
});

const decisionOutput = z.object({
  action: z.enum(['override', 'escalate']),
  reasoning: text(50_000),
  adr: text(100_000).describe('A decision record in markdown: context, decision, consequences.'),
  escalation_message: textOrNull(20_000).describe('For the person who has to decide; null for an override.'),
});

/** Present where an answer was mended, or contradicted itself: how it was read. */
interface Noted {
  notes?: string[];
}

/** Work that a judge was not shown, or not whole. */
export interface UnseenWork {
  /** A changed file; or `output` or `explanation`, which are texts of the task agent. */
  path: string;
  reason: 'binary' | 'large';
}

/** Of a judge, where there is any: at most `MOST_UNSEEN_LISTED` of them, and how many more there are. */
interface Judged {
  unseen?: { files: UnseenWork[]; more: number };
}

export const MOST_UNSEEN_LISTED = 200;

export type ContextOutput = z.output<typeof contextOutput> & Noted;
export type TaskStageOutput = z.output<typeof taskOutput> & Noted;
export type GuardrailOutput = Omit<z.output<typeof guardrailOutput>, 'findings'> & { findings: Finding[] } & Noted &
  Judged;
export type CodeReviewOutput = z.output<typeof codeReviewOutput> & Noted & Judged;
export type DecisionOutput = z.output<typeof decisionOutput> & Noted;

/** What each stage returns and stores. */
export interface StageOutputs {
  context: ContextOutput;
  task: TaskStageOutput;
  guardrail: GuardrailOutput;
  code_review: CodeReviewOutput;
  decision: DecisionOutput;
}

/** The answer that each stage's model is asked for. */
export const STAGE_SCHEMAS = {
  context: { name: 'context_output', schema: contextOutput },
  task: { name: 'task_output', schema: taskOutput },
  guardrail: { name: 'guardrail_output', schema: guardrailOutput },
  code_review: { name: 'code_review_output', schema: codeReviewOutput },
  decision: { name: 'decision_output', schema: decisionOutput },
} as const satisfies Record<Role, { name: string; schema: z.ZodObject }>;

/**
 * A pass beside a serious issue says both yes and no: the stricter half counts. A decision without a record or without
 * words for the person gets its reasoning in their place.
 */
export function settled(value: Record<string, unknown>): { value: Record<string, unknown>; note: string | null } {
  const {
    verdict,
    issues,
    action,
    reasoning,
    adr,
    escalation_message: message,
    summary,
  } = value as Partial<CodeReviewOutput & DecisionOutput>;
  const serious = issues?.find((issue) => issue.severity === 'high' || issue.severity === 'critical');
  if (verdict === 'pass' && serious !== undefined) {
    const note = `The verdict "pass" stands beside an issue of severity "${serious.severity}" and counts as "needs_refactor".`;
    const words = [summary, note].filter(Boolean).join('\n\n');
    return { value: { ...value, verdict: 'needs_refactor', summary: words }, note };
  }
  if (action !== undefined) {
    const words = action === 'escalate' && !message?.trim() ? reasoning || null : (message ?? null);
    return { value: { ...value, adr: adr?.trim() ? adr : reasoning, escalation_message: words }, note: null };
  }
  return { value, note: null };
}
