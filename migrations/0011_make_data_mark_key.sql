-- Why: in prompts, texts of others stand between marks that carry a keyed hash over task and role, so that the mark is the same
-- in every prompt of a role in a task, on every replica, and nobody can know it who writes such a text.
-- Locks: none on tables that exist. Reversible: drop the table; prompts then need marks of another kind.
-- An older replica beside it does not look at the table.

create table data_mark_key (
  the_only_row boolean primary key default true,
  key bytea not null,
  constraint data_mark_key_is_one_row check (the_only_row),
  constraint data_mark_key_is_256_bits check (octet_length(key) = 32)
);

-- Two random UUIDs hold 244 random bits; the digest spreads them over the key.
insert into data_mark_key (key)
select sha256(decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));
