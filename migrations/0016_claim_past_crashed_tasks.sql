-- Why: one crash of a worker makes no suspects of all it ran: a task runs alone after its second crash in one stage. Until then
-- a worker takes at most so many crashed ones, and claims past them by an index of their own.
-- Locks: SHARE on `tasks` while the index is built, so writes wait; then the rows of suspects. Reversible: drop the index. An
-- older replica beside it goes on making suspects at the first crash, which run alone as before.
create index tasks_fresh_idx on tasks (priority desc, vstart, id) where ready and not suspect and stage_crashes = 0;

update tasks set suspect = false where suspect and stage_crashes < 2;
