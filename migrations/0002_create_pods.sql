-- Why: pods (teams) and their agents. Tasks keep a snapshot, so edits here touch later submissions only.
-- Locks: none on existing tables. Reversible: drop both tables.
create table pods (
  id uuid primary key,
  name text not null constraint name_is_1_to_100_long check (length(name) between 1 and 100),
  description text not null default '',
  enabled boolean not null default true,
  default_model text,
  max_cost_usd numeric constraint cost_limit_is_positive check (max_cost_usd > 0),
  max_execution_seconds integer not null default 1800
    constraint execution_limit_is_in_range check (max_execution_seconds between 1 and 86400),
  review_by text not null default 'owner' constraint review_by_is_known check (review_by in ('owner', 'admin')),
  network text not null default 'off' constraint network_is_known check (network in ('off', 'on')),
  require_human_review text not null default 'on_escalation'
    constraint require_human_review_is_known check (require_human_review in ('always', 'never', 'on_escalation')),
  escalation_threshold text not null default 'medium'
    constraint escalation_threshold_is_known check (escalation_threshold in ('low', 'medium', 'high', 'critical')),
  sandbox text not null default 'workspace'
    constraint sandbox_is_known check (sandbox in ('isolated', 'nova', 'workspace', 'host')),
  routing_keywords text[] not null default '{}',
  metadata jsonb not null default '{}',
  is_system_default boolean not null default false,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
);
create unique index pods_name_idx on pods (name);
-- The pod of tasks that name none; it cannot be deleted.
create unique index pods_is_system_default_idx on pods (is_system_default) where is_system_default;

create table pod_agents (
  id uuid primary key,
  pod_id uuid not null references pods (id) on delete cascade,
  name text not null constraint name_is_1_to_100_long check (length(name) between 1 and 100),
  role text not null
    constraint role_is_known check (role in ('context', 'task', 'guardrail', 'code_review', 'decision')),
  description text not null default '',
  enabled boolean not null default true,
  position integer not null constraint position_is_in_range check (position between 0 and 1000),
  parallel_group text,
  model text,
  fallback_models text[] not null default '{}',
  temperature double precision not null default 0.3
    constraint temperature_is_in_range check (temperature between 0 and 2),
  max_tokens integer not null default 4096 constraint max_tokens_is_positive check (max_tokens > 0),
  timeout_seconds integer not null default 120
    constraint timeout_is_in_range check (timeout_seconds between 1 and 86400),
  max_retries integer not null default 2 constraint max_retries_is_in_range check (max_retries between 0 and 10),
  system_prompt text,
  allowed_tools text[],
  on_failure text not null default 'abort'
    constraint on_failure_is_known check (on_failure in ('abort', 'skip', 'escalate')),
  run_condition jsonb,
  artifact_type text,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint only_context_may_be_skipped check (on_failure <> 'skip' or role = 'context')
);
create unique index pod_agents_pod_id_position_idx on pod_agents (pod_id, position);
create unique index pod_agents_pod_id_role_idx on pod_agents (pod_id, role);
