-- Why: work ends with what asked for it, so a task knows the work that led to it; what one request starts in all is bounded; and
-- what a key holds is bounded too, so agents know who made them and unfinished tasks how large they are.
-- Locks: ACCESS EXCLUSIVE on `tasks` and `agents` for the moment of a column with a constant default, SHARE on both while the
-- indexes are built. Reversible: drop the columns, the indexes and the table. An older replica beside it makes tasks without
-- ancestors, which nothing but their own end ends, and agents of nobody, which count for nobody, as those of before do.
alter table tasks
  -- The tasks and turns whose tools led to this one, outermost first; empty for what a caller asked for itself.
  add column ancestors uuid[] not null default '{}',
  add column request_bytes integer not null default 0;
-- Unfinished work that tools started is little, so it is looked through.
create index tasks_started_unfinished_idx on tasks (id) where completed_at is null and ancestors <> '{}';
create index tasks_owner_unfinished_idx on tasks (owner) include (request_bytes) where completed_at is null;

-- Who made it, as in other `owner` columns; null is unknown.
alter table agents add column owner text;
create index agents_owner_idx on agents (owner);

-- How many things have been started below one request of a caller, counted at its own task or turn.
create table started_below_requests (
  root_id uuid primary key,
  count integer not null,
  created_at timestamptz not null default clock_timestamp()
);
create index started_below_requests_created_at_idx on started_below_requests (created_at);
