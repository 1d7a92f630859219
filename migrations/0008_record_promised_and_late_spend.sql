-- Why: a task's cost limit must hold across the death of its worker, and what was used must be counted also when the lease was
-- lost before it could be written.
-- Locks: `tasks` for a moment (a column with a constant default rewrites nothing). Reversible: drop the column and the table.

-- USD of the limit that was given to work which tools of the task started, on its own account.
alter table tasks add column granted_usd numeric not null default 0;

-- What a worker had used and not written when it lost its lease. A worker has an epoch once, so it is counted once.
create table late_spends (
  task_id uuid not null references tasks (id) on delete cascade,
  epoch bigint not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cost_usd numeric not null,
  written_at timestamptz not null default clock_timestamp(),
  primary key (task_id, epoch)
);
