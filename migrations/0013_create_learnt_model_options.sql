-- Why: endpoints refuse optional parameters of a request (`max_tokens`, a temperature, a schema). What one refused is kept for
-- a day and shared by all replicas, so that each call is not refused first; and pod agents may leave temperature and
-- max_tokens out.
-- Locks: `pod_agents` for a moment (dropping `not null` reads nothing). Reversible: drop the table; set `not null` again once
-- no row holds a null. A replica of the version before fails to run agents whose columns are null, and knows no such agent
-- until somebody makes one.

create table learnt_model_options (
  provider text not null,
  model text not null,
  parameter text not null,
  -- The parameter that is sent in its place; null where nothing is.
  instead text,
  learnt_at timestamptz not null default now(),
  expires_at timestamptz not null,
  primary key (provider, model, parameter)
);

alter table pod_agents alter column temperature drop not null;
alter table pod_agents alter column max_tokens drop not null;
