import { createHash } from 'node:crypto';
import { storableJson, storableText } from '../../../platform/database/index.js';
import type { ArtifactWrite, FindingWrite, Transition, StageWrite } from '../store/transition.js';
import { failureStatus } from '../rules/plan.js';
import { type Severity } from '../../pods/index.js';
import type { Role } from '../rules/task-status.js';
import { usage, type StageOutcome } from './stage-outcome.js';
import type { TaskExecution } from './task-execution.js';

/** What one ended stage adds to the transition that follows it. */
export type StageRecords = Partial<
  Pick<Transition, 'stages' | 'findings' | 'resolve' | 'reviews' | 'artifacts' | 'events'>
>;

/**
 * Turns a stage's outcome into rows and events. Events never hold the text of an
 * output: until release it is shown only to those who may review.
 */
export function outcomeParts(
  execution: Pick<TaskExecution, 'stage' | 'situation'>,
  outcome: StageOutcome,
  newId: () => string,
): StageRecords {
  const stage = execution.stage(outcome.stageId);
  if (stage === undefined) throw new Error('A stage ended that never began.');
  const isEnd =
    outcome.kind === 'complete' ||
    outcome.kind === 'failed' ||
    outcome.kind === 'fatal' ||
    (outcome.kind === 'gate' && outcome.gate === 'tool_effect');
  if (!isEnd) return {};
  const { used } = outcome;
  const failure =
    outcome.kind === 'complete'
      ? null
      : outcome.kind === 'gate'
        ? { code: outcome.gate, message: outcome.reason }
        : { code: outcome.code, message: outcome.message };
  const write: StageWrite = {
    id: stage.id,
    role: stage.role,
    position: stage.position,
    iteration: stage.iteration,
    attempt: stage.attempt,
    status:
      failure === null
        ? 'complete'
        : outcome.kind === 'failed'
          ? failureStatus(execution.situation, stage.role)
          : 'failed',
    // As it will be read back: a reviewer's hash is taken from it now and compared with the stored one later.
    output: outcome.kind === 'complete' ? storableJson(outcome.output) : null,
    error: failure?.message ?? null,
    error_code: failure?.code ?? null,
    ...usage(used),
    tools_left_out: outcome.leftOut,
  };
  const parts: StageRecords = {
    stages: [write],
    events: [
      {
        type: 'stage.finished',
        data: {
          stage_id: stage.id,
          role: stage.role,
          iteration: stage.iteration,
          attempt: stage.attempt,
          status: write.status,
          error_code: write.error_code,
          model: used.model,
          input_tokens: used.inputTokens,
          cached_input_tokens: used.cachedInputTokens,
          output_tokens: used.outputTokens,
          cost_usd: used.costUsd,
          duration_ms: used.durationMs,
          tools_left_out: outcome.leftOut?.count ?? 0,
        },
      },
    ],
  };
  if (outcome.kind !== 'complete') return parts;
  const { events = [], ...said } =
    SAID[stage.role]?.({ stageId: stage.id, iteration: stage.iteration, output: write.output ?? {}, newId }) ?? {};
  return { ...parts, ...said, events: [...(parts.events ?? []), ...events] };
}

/** An answer that is stored, and not checked again: an earlier release may have written it. */
interface Said {
  stageId: string;
  iteration: number;
  output: {
    findings?: { type: string; severity: Severity; description: string; evidence: string; deterministic?: boolean }[];
    verdict?: string;
    issues?: unknown[];
    summary?: string;
    action?: string;
    adr?: string;
  };
  newId: () => string;
}

/** The rows and events that a role's answer adds besides its stage; null for none. */
const SAID: Readonly<Record<Role, ((said: Said) => StageRecords) | null>> = {
  context: null,
  task: null,
  guardrail: ({ stageId, iteration, output, newId }) => {
    const findings = (output.findings ?? []).map((finding): FindingWrite => ({
      id: newId(),
      stage_id: stageId,
      finding_type: finding.type,
      severity: finding.severity,
      description: finding.description,
      evidence: finding.evidence,
      iteration,
      deterministic: finding.deterministic ?? false,
    }));
    return {
      findings,
      resolve: [{ resolved_by: 'guardrail_rerun', notes: 'The guardrail ran again.', before_iteration: iteration }],
      events: findings.map(findingAdded),
    };
  },
  code_review: ({ stageId, iteration, output, newId }) => {
    const review = {
      id: newId(),
      stage_id: stageId,
      iteration,
      verdict: output.verdict ?? 'reject',
      issues: output.issues ?? [],
      summary: output.summary ?? '',
    };
    const { id, verdict, issues } = review;
    return {
      reviews: [review],
      events: [{ type: 'review.added', data: { review_id: id, verdict, issues: issues.length, iteration } }],
    };
  },
  decision: ({ stageId, iteration, output: { adr, action }, newId }) =>
    adr ? { artifacts: [artifact(newId(), stageId, 'adr', `decision-record-${iteration}.md`, adr, { action })] } : {},
};

/** The event log's part of a new finding. */
export function findingAdded(finding: FindingWrite): Transition['events'][number] {
  return {
    type: 'finding.added',
    data: {
      finding_id: finding.id,
      finding_type: finding.finding_type,
      severity: finding.severity,
      deterministic: finding.deterministic,
      iteration: finding.iteration,
    },
  };
}

/** An artifact row with the SHA-256 of its content. */
export function artifact(
  id: string,
  stageId: string | null,
  type: string,
  name: string,
  content: string,
  metadata: Record<string, unknown> = {},
  filePath: string | null = null,
): ArtifactWrite {
  const stored = storableText(content);
  return {
    id,
    stage_id: stageId,
    artifact_type: type,
    name,
    content: stored,
    content_hash: createHash('sha256').update(stored).digest('hex'),
    file_path: filePath,
    metadata,
  };
}
