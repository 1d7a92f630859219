-- Why: everything the pipeline must not lose. PostgreSQL is the truth of the queue: a task row that is due *is* the queue
-- entry, its lease says who works on it, and its epoch is the fencing token that every write of a worker carries.
-- Locks: none on existing tables. Reversible: drop the tables below in reverse order.
--
-- The task row holds small control state only and is rewritten often, so it keeps free space for HOT updates, and no
-- index covers the columns that a heartbeat moves. Requests, outputs and texts live in tables of their own.

create table tasks (
  id uuid primary key,
  owner text not null,
  pod_id uuid references pods (id) on delete set null,
  pod_name text not null,
  status text not null constraint status_is_known check (status in (
    'queued', 'context_running', 'task_running', 'guardrail_running', 'code_review_running', 'decision_running',
    'completing', 'complete', 'pending_human_review', 'failed', 'cancelled')),
  -- What a claim makes of a queued task.
  next_status text,
  -- Queued and due. Rows that are not due yet stay out of the claim index, since a comparison with the clock cannot be
  -- an index condition; the promoter sets this flag.
  ready boolean not null default false,
  -- Was running when its worker died: runs alone, until it gets past the stage.
  suspect boolean not null default false,
  priority smallint not null constraint priority_is_in_range check (priority between 0 and 9),
  -- Virtual start: orders the callers' tasks of one priority fairly.
  vstart bigint not null,
  run_at timestamptz not null default clock_timestamp(),
  wait_reason text constraint wait_reason_is_known check (wait_reason in ('retry_at', 'provider')),
  wait_provider text,
  epoch bigint not null default 0,
  -- Counts the commits; with the epoch it makes every move apply at most once.
  version bigint not null default 0,
  last_move_id uuid,
  attempt integer not null default 0,
  retry_count integer not null default 0,
  max_retries integer not null,
  stage_crashes integer not null default 0,
  lease_owner integer,
  lease_until timestamptz,
  last_heartbeat_at timestamptz,
  -- The running step's own limit, for a worker that beats but hangs.
  deadline_at timestamptz,
  control jsonb not null,
  gate_id uuid,
  event_seq bigint not null default 0,
  error text,
  error_code text,
  error_context jsonb,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cost_usd numeric not null default 0,
  execution_ms bigint not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  queued_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  completed_at timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  constraint leased_exactly_while_running check ((lease_owner is not null) = (status like '%\_running' or status = 'completing')),
  constraint leases_have_an_end check ((lease_owner is null) = (lease_until is null)),
  constraint only_queued_tasks_are_ready check (not ready or status = 'queued'),
  constraint queued_tasks_know_what_comes_next check (status <> 'queued' or next_status is not null),
  constraint waiting_tasks_have_a_gate check ((status = 'pending_human_review') = (gate_id is not null)),
  constraint ended_exactly_when_terminal check ((completed_at is not null) = (status in ('complete', 'failed', 'cancelled')))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

create index tasks_ready_idx on tasks (priority desc, vstart, id) where ready and not suspect;
create index tasks_suspect_idx on tasks (priority desc, vstart, id) where ready and suspect;
create index tasks_snoozed_idx on tasks (run_at) where status = 'queued' and not ready;
create index tasks_leased_idx on tasks (id) where lease_owner is not null;
create index tasks_owner_ready_idx on tasks (owner, priority, vstart desc) where ready;
create index tasks_status_idx on tasks (status);
create index tasks_created_at_id_idx on tasks (created_at desc, id desc);
create index tasks_owner_created_at_id_idx on tasks (owner, created_at desc, id desc);
create index tasks_pod_id_idx on tasks (pod_id);
create index tasks_completed_at_idx on tasks (completed_at) where completed_at is not null;

create table task_requests (
  task_id uuid primary key references tasks (id) on delete cascade,
  user_input text not null,
  metadata jsonb not null,
  -- The pod and its enabled agents as they were at submission.
  pod jsonb not null
);

create table task_results (
  task_id uuid primary key references tasks (id) on delete cascade,
  output jsonb,
  summary jsonb not null
);

create table stages (
  id uuid primary key,
  task_id uuid not null references tasks (id) on delete cascade,
  role text not null,
  position integer not null,
  iteration integer not null,
  attempt integer not null,
  status text not null constraint stage_status_is_known
    check (status in ('running', 'complete', 'failed', 'skipped', 'cancelled')),
  model text,
  output jsonb,
  error text,
  error_code text,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cost_usd numeric,
  usage_estimated boolean not null default false,
  duration_ms bigint,
  started_at timestamptz not null default clock_timestamp(),
  completed_at timestamptz,
  constraint ended_exactly_when_not_running check ((completed_at is null) = (status = 'running'))
);
create unique index stages_task_id_role_iteration_attempt_idx on stages (task_id, role, iteration, attempt);

-- What an unfinished stage did so far: model answers (with the intents of the tool calls they ask for) and tool results.
create table stage_journal (
  stage_id uuid not null references stages (id) on delete cascade,
  seq integer not null,
  epoch bigint not null,
  entry jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (stage_id, seq)
);

create table findings (
  id uuid primary key,
  task_id uuid not null references tasks (id) on delete cascade,
  stage_id uuid not null references stages (id) on delete cascade,
  finding_type text not null,
  severity text not null constraint severity_is_known check (severity in ('low', 'medium', 'high', 'critical')),
  description text not null,
  evidence text not null,
  iteration integer not null,
  deterministic boolean not null,
  status text not null default 'open' constraint finding_status_is_known check (status in ('open', 'resolved')),
  resolved_by text,
  resolution_notes text,
  created_at timestamptz not null default clock_timestamp(),
  resolved_at timestamptz,
  constraint resolved_findings_say_by_whom
    check ((status = 'resolved') = (resolved_by is not null) and (resolved_by is null) = (resolved_at is null))
);
create index findings_task_id_idx on findings (task_id, created_at, id);

create table reviews (
  id uuid primary key,
  task_id uuid not null references tasks (id) on delete cascade,
  stage_id uuid not null references stages (id) on delete cascade,
  iteration integer not null,
  verdict text not null constraint verdict_is_known check (verdict in ('pass', 'needs_refactor', 'reject')),
  issues jsonb not null,
  summary text not null,
  created_at timestamptz not null default clock_timestamp()
);
create index reviews_task_id_idx on reviews (task_id, created_at, id);

create table artifacts (
  id uuid primary key,
  task_id uuid not null references tasks (id) on delete cascade,
  stage_id uuid references stages (id) on delete cascade,
  artifact_type text not null,
  name text not null,
  content text not null,
  content_hash text not null,
  file_path text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default clock_timestamp()
);
create index artifacts_task_id_idx on artifacts (task_id, created_at, id);

-- Points where a person decides, kept after the decision as proof of it.
create table gates (
  id uuid primary key,
  task_id uuid not null references tasks (id) on delete cascade,
  kind text not null constraint gate_kind_is_known check (kind in (
    'escalation', 'finding', 'final', 'cost', 'stage_error', 'tool_effect', 'publish_conflict')),
  reason text not null,
  content_hash text not null,
  details jsonb not null default '{}',
  opened_at timestamptz not null default clock_timestamp(),
  decision text constraint decision_is_known check (decision in ('approve', 'reject', 'cancel')),
  decided_by text,
  decided_at timestamptz,
  comment text,
  constraint decided_gates_say_by_whom
    check ((decision is null) = (decided_by is null) and (decision is null) = (decided_at is null))
);
create index gates_task_id_idx on gates (task_id, opened_at, id);

-- The one ordered log of a task: streams, lists and notifications all read it.
create table task_events (
  task_id uuid not null references tasks (id) on delete cascade,
  seq bigint not null,
  type text not null constraint event_type_is_known check (type in (
    'task.queued', 'task.claimed', 'stage.started', 'stage.finished', 'finding.added', 'review.added', 'gate.opened',
    'gate.decided', 'task.retried', 'task.reaped', 'task.finished')),
  at timestamptz not null default clock_timestamp(),
  data jsonb not null,
  primary key (task_id, seq)
);
create index task_events_at_idx on task_events (at);

-- Tasks that failed for good without a person's word.
create table dead_letters (
  task_id uuid primary key references tasks (id) on delete cascade,
  reason text not null,
  error text not null,
  stage text,
  attempts integer not null,
  dead_at timestamptz not null default clock_timestamp()
);
create index dead_letters_dead_at_task_id_idx on dead_letters (dead_at desc, task_id desc);

-- Worker processes. A live one holds the session-level advisory lock of its id.
create table workers (
  id integer generated always as identity primary key,
  name text not null,
  started_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp()
);

create table idempotency_keys (
  owner text not null,
  route text not null,
  key text not null,
  body_hash text not null,
  resource_id uuid not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (owner, route, key)
);
create index idempotency_keys_created_at_idx on idempotency_keys (created_at);
