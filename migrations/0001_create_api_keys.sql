-- Why: the keys that callers present. Only a digest of a key is kept.
-- Locks: none on existing tables. Reversible: drop the table.
create table api_keys (
  id uuid primary key,
  name text not null constraint name_is_1_to_100_long check (length(name) between 1 and 100),
  key_hash text not null constraint key_hash_is_sha256_hex check (key_hash ~ '^[0-9a-f]{64}$'),
  key_prefix text not null,
  is_active boolean not null default true,
  rate_limit_rpm integer constraint rate_limit_is_positive check (rate_limit_rpm > 0),
  expires_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  last_used_at timestamptz,
  revoked_at timestamptz,
  metadata jsonb not null default '{}',
  constraint revoked_keys_are_inactive check (revoked_at is null or not is_active)
);
create unique index api_keys_key_hash_idx on api_keys (key_hash);
create index api_keys_created_at_id_idx on api_keys (created_at desc, id desc);
