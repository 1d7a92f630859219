import type { JudgeRole } from '../../pods/index.js';
import type { GitTraps } from '../../tools/index.js';
import type { Role } from '../rules/task-status.js';
import type { StageOutputs } from './outputs.js';

/** A verdict on an earlier iteration's work; the task agent is shown all of them. */
export interface StageFeedback {
  iteration: number;
  source: JudgeRole;
  summary: string;
  /** Of the guardrail; evidence of secrets is masked. */
  findings: readonly { type: string; severity: string; description: string; evidence: string }[];
  /** Of the reviewer. */
  issues: readonly {
    severity: string;
    description: string;
    file?: string | null;
    line?: number | null;
    suggestion?: string | null;
  }[];
}

/** How the task's work tree differs from its base. */
export interface StageDiff {
  /** Unified diff. */
  text: string;
  files: readonly { path: string; change: 'added' | 'modified' | 'deleted' }[];
  /** Changes whose content `text` does not show. */
  notShown: readonly {
    path: string;
    reason: 'binary' | 'large';
    /** The new content is one that the base holds, as in a rename; absent is no. */
    atBase?: boolean;
  }[];
  /** The parts of the changes that the owner's git would obey; absent is nothing. */
  traps?: GitTraps | null;
}

/** What a stage reads. Plain data: the same input gives the same prompt. */
export interface StageInput {
  taskId: string;
  request: string;
  /** From 1. */
  iteration: number;
  /** The pod agent's own; replaces the role's default. */
  systemPrompt: string | null;
  /** The newest output of each role that has one. */
  earlier: Partial<StageOutputs>;
  /** Every verdict on earlier iterations, oldest first. For the decision, those on the present one too. */
  feedback: readonly StageFeedback[];
  /** Null when the task has no work tree. */
  diff: StageDiff | null;
  /** Why the decision stage runs. */
  flags?: { guardrailBlocked: boolean; codeReviewRejected: boolean } | undefined;
}

/** A text that a prompt shows as data. */
export interface DataBlock {
  name: string;
  text: string;
  /** Shown as it is: the person's own words to the agents that work on them. Secrets in all other texts are masked. */
  verbatim?: boolean;
  /** Part of the work that a judge judges. */
  isWork?: boolean;
}

/** One role's part in a task, apart from its schema. */
export interface StageDefinition {
  role: Role;
  /** Used when the pod agent has none of its own. */
  systemPrompt: string;
  /** What to do with the data, in the user's message. */
  instruction(input: StageInput): string;
  data(input: StageInput): DataBlock[];
}
