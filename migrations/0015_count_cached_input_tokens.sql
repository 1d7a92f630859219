-- Why: a provider that reads a part of a prompt from its cache says so, and charges less for it. What it read is shown beside the
-- input tokens, of which it is a part.
-- Locks: `tasks`, `stages`, `turns` and `late_spends` for a moment each (a column with a constant default rewrites nothing).
-- Reversible: drop the columns. An older replica beside it counts the input tokens of its calls and none of them as cached.
alter table tasks add column cached_input_tokens bigint not null default 0;
alter table stages add column cached_input_tokens bigint not null default 0;
alter table turns add column cached_input_tokens bigint not null default 0;
alter table late_spends add column cached_input_tokens bigint not null default 0;
