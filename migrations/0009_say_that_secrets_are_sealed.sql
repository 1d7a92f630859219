-- Why: a secret of an MCP server is sealed where the service has a key, and the type of its column says so.
-- Locks: `mcp_servers` for a moment. Reversible: nothing to undo; the service reads both forms.
comment on column mcp_servers.env is '@type Record<string, string | { key: string; sealed: string }>';
comment on column mcp_servers.headers is '@type Record<string, string | { key: string; sealed: string }>';
