-- Why: deleting a stage looks for the findings, reviews and artifacts that refer to it; without an index each look reads the
-- whole table, and retention never gets through a batch (100,000 stages: 0.6 s a task, 1 ms with these indexes).
-- Locks: SHARE on each table while its index is built, so writes to it wait. Reversible: drop the indexes.
create index findings_stage_id_idx on findings (stage_id);
create index reviews_stage_id_idx on reviews (stage_id);
create index artifacts_stage_id_idx on artifacts (stage_id);
