import type { GateRow, ReviewRow, StageRow, TaskEventRow } from '../../../platform/database/index.js';
import type { GateKind, TaskControl } from '../rules/task-control.js';
import type { Severity } from '../../pods/index.js';
import type { LeftOutToolsDto } from '../../tools/index.js';
import type { Role, TaskStatus } from '../rules/task-status.js';

export type EventType = TaskEventRow['type'];

export interface StageWrite {
  id: string;
  role: Role;
  position: number;
  iteration: number;
  attempt: number;
  status: StageRow['status'];
  model?: string | null;
  output?: unknown;
  error?: string | null;
  error_code?: string | null;
  input_tokens?: number;
  cached_input_tokens?: number;
  output_tokens?: number;
  cost_usd?: number | null;
  usage_estimated?: boolean;
  duration_ms?: number | null;
  /** Null where the model was shown all of its tools. */
  tools_left_out?: LeftOutToolsDto | null;
}

export interface FindingWrite {
  id: string;
  stage_id: string;
  finding_type: string;
  severity: Severity;
  description: string;
  evidence: string;
  iteration: number;
  deterministic: boolean;
}

export interface ReviewWrite {
  id: string;
  stage_id: string;
  iteration: number;
  verdict: string;
  issues: unknown[];
  summary: string;
}

export interface ArtifactWrite {
  id: string;
  stage_id: string | null;
  artifact_type: string;
  name: string;
  content: string;
  content_hash: string;
  file_path: string | null;
  metadata: Record<string, unknown>;
}

/** Which open findings a transition resolves. */
export interface FindingResolution {
  resolved_by: string;
  notes: string;
  /** These; absent is all open ones. */
  ids?: string[];
  /** Only those of an iteration before this one. */
  before_iteration?: number;
}

/** Tokens and USD that a write adds to the task. */
export interface Spent {
  input_tokens: number;
  /** Of the input tokens, those that a provider read from its cache. */
  cached_input_tokens: number;
  output_tokens: number;
  cost_usd: number;
  /** Of what is promised to calls under way; negative for calls that have ended. */
  promised_usd: number;
}

/** What a task hands back, in the wire's words. */
export interface TaskOutput {
  output: string;
  explanation: string;
  files_changed: string[];
  commands_run: string[];
}

export interface TaskSummary {
  headline: string;
  files_modified: string[];
  commands_run: string[];
  findings_count: number;
  review_verdict: ReviewRow['verdict'] | null;
  cost_usd: number;
  duration_s: number;
}

/**
 * One atomic change of one task: its row, and everything that is told with it. It applies only while the guard holds and
 * at most once; `from` and `to` are checked against the table of legal transitions.
 */
export interface Transition {
  task_id: string;
  from: TaskStatus;
  to: TaskStatus;
  guard: {
    epoch: number;
    version: number;
    /** The reaper's guards: the lease is past its end; or its owner has not beaten since. */
    lease_expired?: boolean;
    owner_without_beat_since?: { owner: number; last_heartbeat_at: string | null };
    deadline_passed?: boolean;
  };
  control: TaskControl;
  /** Reaps, cancels and human decisions raise the epoch, which fences whoever held the lease. */
  raise_epoch?: boolean;
  /** For a queued task: what a claim makes of it, and when it is due (milliseconds from now; 0 is now). */
  queue?: { next_status: TaskStatus; delay_ms: number; wait_reason?: 'retry_at' | 'provider'; wait_provider?: string };
  suspect?: boolean;
  stage_crashes?: number;
  retries?: number;
  /** Milliseconds from now at which the reaper may take a task whose worker beats but hangs. */
  deadline_ms?: number;
  error?: { code: string; message: string; context?: Record<string, unknown> } | null;
  spent?: Spent & { execution_ms: number };
  stages?: StageWrite[];
  /** Ends every running stage of the task with this status. */
  end_running_stages?: { status: 'cancelled' | 'failed'; error_code: string; error: string };
  findings?: FindingWrite[];
  resolve?: FindingResolution[];
  reviews?: ReviewWrite[];
  artifacts?: ArtifactWrite[];
  open_gate?: { id: string; kind: GateKind; reason: string; content_hash: string; details: Record<string, unknown> };
  decide_gate?: { id: string; decision: NonNullable<GateRow['decision']>; decided_by: string; comment: string | null };
  result?: { output: TaskOutput | null; summary: TaskSummary };
  dead_letter?: { reason: string; error: string; stage: string | null };
  /** A dead letter that is requeued. */
  revive?: boolean;
  events: { type: EventType; data: Record<string, unknown> }[];
}
