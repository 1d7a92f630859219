-- Why: a model call that is under way when its worker is killed is billed all the same. What it may cost is stored before it is
-- asked, where the task has a cost limit, so that the next worker counts it against the limit.
-- Locks: `tasks` for a moment (a column with a constant default rewrites nothing). Reversible: drop the column.

-- USD that calls under way may cost at the most; of workers that were killed, for good.
alter table tasks add column promised_usd numeric not null default 0;
