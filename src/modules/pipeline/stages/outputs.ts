import { z } from 'zod';
import { storableText } from '../../../platform/http/index.js';
import { FINDING_TYPES, type Finding } from '../guardrail/finding.js';
import { SEVERITIES } from '../rules/plan.js';
import type { Role } from '../rules/task-status.js';

/** Text of a model: bounded in characters, and storable. */
function text(most: number): z.ZodString {
  return z.string().max(most).overwrite(storableText);
}

function said(most: number): z.ZodString {
  return z
    .string()
    .max(most)
    .refine((value) => value.trim() !== '', 'must not be empty')
    .overwrite(storableText);
}

const severity = z.enum(SEVERITIES);

export const contextOutput = z.object({
  curated_context: text(200_000).describe('What whoever does the task has to know, in full.'),
  relevant_files: z.array(text(1_000)).max(1_000).describe('Paths of files that matter.'),
  key_patterns: z.array(text(4_000)).max(200).describe('Conventions the work has to keep.'),
  recommendations: text(50_000).describe('How to go about it.'),
});

export const taskOutput = z.object({
  output: said(400_000).describe('The result itself, as the person who asked will read it.'),
  files_changed: z.array(text(1_000)).max(5_000).describe('Paths of the files that were changed.'),
  explanation: text(100_000).describe('What was done and why.'),
  commands_run: z.array(text(10_000)).max(1_000).describe('Commands that were run.'),
});

/** What the guardrail's model returns; the deterministic findings are added to it. */
export const guardrailOutput = z.object({
  blocked: z.boolean().describe('Whether the work must not be released as it is.'),
  findings: z
    .array(
      z.object({
        type: z.enum(FINDING_TYPES),
        severity,
        description: said(8_000),
        evidence: text(8_000).describe(
          'Where it stands, and the shortest quotation that shows it; never a whole secret.',
        ),
      }),
    )
    .max(200),
  summary: text(20_000),
});

export const codeReviewOutput = z.object({
  verdict: z.enum(['pass', 'needs_refactor', 'reject']),
  issues: z
    .array(
      z.object({
        severity,
        description: said(8_000),
        file: text(1_000).nullable().default(null),
        line: z.int().min(0).max(100_000_000).nullable().default(null),
        suggestion: text(20_000).nullable().default(null),
      }),
    )
    .max(300),
  summary: text(20_000),
});

export const decisionOutput = z
  .object({
    action: z.enum(['override', 'escalate']),
    reasoning: said(50_000),
    adr: said(100_000).describe('A decision record in markdown: context, decision, consequences.'),
    escalation_message: text(20_000)
      .nullable()
      .default(null)
      .describe('For the person who has to decide; null for an override.'),
  })
  .refine(({ action, escalation_message }) => action !== 'escalate' || (escalation_message ?? '').trim() !== '', {
    path: ['escalation_message'],
    message: 'must say what the person has to decide',
  });

export type ContextOutput = z.output<typeof contextOutput>;
export type TaskStageOutput = z.output<typeof taskOutput>;
export type GuardrailOutput = Omit<z.output<typeof guardrailOutput>, 'findings'> & { findings: Finding[] };
export type CodeReviewOutput = z.output<typeof codeReviewOutput>;
export type DecisionOutput = z.output<typeof decisionOutput>;

/** What each stage returns and stores. */
export interface StageOutputs {
  context: ContextOutput;
  task: TaskStageOutput;
  guardrail: GuardrailOutput;
  code_review: CodeReviewOutput;
  decision: DecisionOutput;
}

/** What each stage's model is asked for. */
export const STAGE_SCHEMAS = {
  context: { name: 'context_output', schema: contextOutput },
  task: { name: 'task_output', schema: taskOutput },
  guardrail: { name: 'guardrail_output', schema: guardrailOutput },
  code_review: { name: 'code_review_output', schema: codeReviewOutput },
  decision: { name: 'decision_output', schema: decisionOutput },
} as const satisfies Record<Role, { name: string; schema: z.ZodType }>;
