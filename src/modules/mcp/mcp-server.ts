import type { Secret } from '../../platform/secrets/index.js';

export const TRANSPORTS = ['stdio', 'http', 'sse'] as const;
export type McpTransport = (typeof TRANSPORTS)[number];

export const MCP_SANDBOXES = ['none', 'workspace', 'workspace_network'] as const;
export type McpSandbox = (typeof MCP_SANDBOXES)[number];

const MCP_STATUSES = ['disabled', 'connecting', 'connected', 'failed'] as const;
export type McpStatus = (typeof MCP_STATUSES)[number];

/**
 * Server names are the middle of tool names, `mcp__<server>__<tool>`: without two underscores in a row and without one at
 * the end, no two servers can offer the same name.
 */
export const SERVER_NAME = /^(?=.{1,31}$)[a-z0-9](?:[a-z0-9-]|_[a-z0-9-])*$/;
export const SERVER_NAME_RULE =
  'name must be 1 to 31 of a-z, 0-9, - and _, begin with a letter or a digit, and have no _ at its end or beside another';

export interface McpServerSettings {
  name: string;
  description: string;
  transport: McpTransport;
  /** Program of a stdio server. */
  command: string | null;
  args: string[];
  env: Record<string, Secret>;
  /** Variables of `env` whose values are no secrets, whatever they look like. */
  publicEnv: string[];
  /** Address of an http or sse server. */
  url: string | null;
  headers: Record<string, Secret>;
  enabled: boolean;
  sandbox: McpSandbox;
  metadata: Record<string, unknown>;
}

/** How a server is spoken to; `discover` is what a server of the 2026 protocol says about itself. */
export type McpEra = { kind: 'legacy'; at: string } | { kind: 'modern'; discover: Record<string, unknown>; at: string };

export interface McpServer extends McpServerSettings {
  id: string;
  revision: number;
  era: McpEra | null;
  createdAt: Date;
  updatedAt: Date;
}

/** What a server is like in this process at this moment. */
export interface McpServerState {
  status: McpStatus;
  /** Why it is not connected, or which tools are quarantined; without secrets. */
  lastError: string | null;
  /** Tools that the server lists. */
  toolCount: number;
  /** Names, as models are shown them, of the tools that can be called now. */
  activeTools: string[];
  connectedAt: Date | null;
}

/** A definition of a tool: its fingerprint, and what the server says, without secrets; null where that was not kept. */
export interface ToolPin {
  readonly hash: string;
  readonly definition: Record<string, unknown> | null;
}

export const TOOL_STATES = ['active', 'changed', 'absent', 'unpinned', 'unknown'] as const;
export type McpToolState = (typeof TOOL_STATES)[number];

/** A tool as it is pinned and as it is offered at this moment. */
export interface McpToolView {
  readonly name: string;
  readonly state: McpToolState;
  readonly pinned: ToolPin | null;
  readonly present: ToolPin | null;
}

/** Whether connections made with `before` are not those that `after` asks for. */
export function connectionChanged(before: McpServerSettings, after: McpServerSettings): boolean {
  return connectionOf(before) !== connectionOf(after);
}

function connectionOf(server: McpServerSettings): string {
  const sorted = (values: Record<string, Secret>): unknown[] =>
    Object.keys(values)
      .toSorted((a, b) => (a < b ? -1 : 1))
      .map((name) => [name, values[name]]);
  return JSON.stringify([
    server.name,
    server.transport,
    server.command,
    server.args,
    sorted(server.env),
    server.publicEnv,
    server.url,
    sorted(server.headers),
    server.sandbox,
  ]);
}
