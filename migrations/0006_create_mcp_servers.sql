-- Why: MCP servers that an admin configures, and the fingerprints of the tools they offered when first seen.
-- Locks: none on existing tables. Reversible: drop the tables.
create table mcp_servers (
  id uuid primary key,
  name text not null
    constraint mcp_server_name_is_a_prefix check (name ~ '^[a-z0-9]([a-z0-9-]|_[a-z0-9-]){0,30}$' and length(name) <= 31),
  description text not null default '',
  transport text not null constraint mcp_transport_is_known check (transport in ('stdio', 'http', 'sse')),
  command text,
  args text[] not null default '{}',
  env jsonb not null default '{}',
  url text,
  headers jsonb not null default '{}',
  enabled boolean not null default true,
  sandbox text not null default 'none'
    constraint mcp_sandbox_is_known check (sandbox in ('none', 'workspace', 'workspace_network')),
  metadata jsonb not null default '{}',
  -- Moves whenever every process has to connect anew.
  revision integer not null default 1,
  -- How the server was spoken to last, which spares the question at the next connection; null is unknown.
  era jsonb,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint stdio_needs_a_command check (transport <> 'stdio' or command is not null),
  constraint http_needs_a_url check (transport = 'stdio' or url is not null)
);
create unique index mcp_servers_name_idx on mcp_servers (name);
comment on column mcp_servers.env is '@type Record<string, string>';
comment on column mcp_servers.headers is '@type Record<string, string>';
comment on column mcp_servers.metadata is '@type Record<string, unknown>';

create table mcp_tool_pins (
  server_id uuid not null references mcp_servers on delete cascade,
  name text not null,
  hash text not null constraint mcp_pin_is_sha256_hex check (hash ~ '^[0-9a-f]{64}$'),
  pinned_at timestamptz not null default clock_timestamp(),
  primary key (server_id, name)
);
