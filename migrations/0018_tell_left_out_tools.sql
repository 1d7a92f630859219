-- Why: where an agent of a pipeline has more tools than fit, the record of its stage tells which its model was not shown.
-- Locks: ACCESS EXCLUSIVE on `stages` for a moment (a column without a default rewrites nothing).
-- Reversible: drop the column. An older replica beside it tells nothing of the stages that it ends.
alter table stages add column tools_left_out jsonb;
comment on column stages.tools_left_out is '@type { count: number; names: string[]; reason: string }';
