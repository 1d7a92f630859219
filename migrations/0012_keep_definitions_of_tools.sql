-- Why: an admin accepts a changed tool by what it is, so a pin keeps the definition beside its hash; and the values of some
-- variables of a server are no secrets.
-- Locks: `mcp_servers` and `mcp_tool_pins` for a moment (columns with a constant default rewrite nothing). Reversible: drop the
-- columns. An older replica pins without a definition, which a newer one fills in once the pinned definition is offered
-- again; it takes every variable for a secret, and its reload forgets all pins.

alter table mcp_servers add column public_env text[] not null default '{}';

-- What the server said of the tool, without secrets; null of before, and where there is too much of it.
alter table mcp_tool_pins add column definition jsonb;
comment on column mcp_tool_pins.definition is '@type Record<string, unknown> | null';
