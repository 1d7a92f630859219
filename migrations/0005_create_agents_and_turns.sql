-- Why: agents and what they were asked. Redis has a copy of every agent for speed; what stands here is the truth. A turn is
-- run by the process that took it and by no other, so its lease says only whether that process lives, and its epoch fences
-- the writes of one that was given up.
-- Locks: none on existing tables. Reversible: drop the tables below.

create table agents (
  id uuid primary key,
  -- The agent that chat speaks with. Exactly one, whatever it is called and however many processes start together.
  is_canonical boolean not null default false,
  name text not null constraint name_is_1_to_100_long check (length(name) between 1 and 100),
  system_prompt text not null default ''
    constraint system_prompt_is_at_most_100000_long check (length(system_prompt) <= 100000),
  -- Null is the service's default model of the moment.
  model text,
  tools text[],
  memory_tiers text[] not null default '{}',
  max_context_tokens integer not null default 8192
    constraint max_context_tokens_is_positive check (max_context_tokens > 0),
  fallback_models text[] not null default '{}',
  metadata jsonb not null default '{}',
  -- What an operator set. Whether an agent is idle or running follows from its turns.
  state text not null default 'active' constraint state_is_known check (state in ('active', 'paused', 'stopped', 'error')),
  -- Milliseconds, as callers and Redis see them, so that the order of lists does not depend on where they were read.
  created_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
  updated_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
  last_active_at timestamptz
);
comment on column agents.metadata is '@type Record<string, unknown>';
create unique index agents_is_canonical_idx on agents (is_canonical) where is_canonical;
create index agents_created_at_id_idx on agents (created_at, id);

create table turns (
  id uuid primary key,
  owner text not null,
  -- No reference: results outlive their agent.
  agent_id uuid not null,
  origin text not null constraint origin_is_known check (origin in ('task', 'stream', 'chat', 'tool')),
  session_id text,
  task_type text,
  metadata jsonb not null default '{}',
  status text not null default 'running'
    constraint turn_status_is_known check (status in ('running', 'completed', 'failed', 'cancelled')),
  -- All words so far, and the id of the last event they are part of.
  response text,
  event_id bigint not null default 0,
  tool_calls jsonb not null default '[]',
  error_code text,
  error_message text,
  model text,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  -- Null when the price of a model is not known.
  cost_usd numeric default 0,
  epoch bigint not null default 0,
  lease_owner uuid,
  lease_until timestamptz,
  -- Until when the request that made the turn may be waiting for its end.
  answer_until timestamptz,
  started_at timestamptz not null default clock_timestamp(),
  completed_at timestamptz,
  constraint leased_exactly_while_running
    check ((status = 'running') = (lease_owner is not null) and (lease_owner is null) = (lease_until is null)),
  constraint ended_exactly_when_not_running check ((completed_at is null) = (status = 'running')),
  constraint errors_have_code_and_message check ((error_code is null) = (error_message is null))
) with (fillfactor = 80);
comment on column turns.metadata is '@type Record<string, unknown>';
create index turns_agent_id_running_idx on turns (agent_id) where status = 'running';
-- One answer at a time in each chat session.
create unique index turns_session_id_chatting_idx on turns (session_id) where status = 'running' and origin = 'chat';
create index turns_completed_at_idx on turns (completed_at) where completed_at is not null;

-- How many things the tools of one task or turn have started.
create table started_by_tools (
  parent_id uuid primary key,
  count integer not null constraint count_is_at_most_20 check (count between 1 and 20),
  created_at timestamptz not null default clock_timestamp()
);
create index started_by_tools_created_at_idx on started_by_tools (created_at);
