import { ApiProperty } from '@nestjs/swagger';
import type { McpSandbox, McpStatus, McpTransport } from './mcp-server.js';
import type { ServerWithState } from './mcp-servers.service.js';
import { maskedFields } from './secrets.js';

const TEXTS = { type: 'object', additionalProperties: { type: 'string' } } as const;

/** An MCP server. What only the admin sees is left out for others. */
export class ListedMcpServerDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  name: string;
  description: string;
  /** What it is like in the process that answers. */
  status: McpStatus;
  connected: boolean;
  /** Tools that the server lists, those held back too. */
  @ApiProperty({ type: 'integer' })
  tool_count: number;
  /** Tools that can be called now. */
  active_tools: string[];
  transport?: McpTransport;
  /** Program of a stdio server. */
  command?: string | null;
  /** What looks like a secret is masked. */
  args?: string[];
  /** Names of the variables; the values are masked. */
  @ApiProperty(TEXTS)
  env?: Record<string, string>;
  /** What looks like a secret in its query is masked. */
  url?: string | null;
  /** Names of the headers; the values are masked. */
  @ApiProperty(TEXTS)
  headers?: Record<string, string>;
  enabled?: boolean;
  sandbox?: McpSandbox;
  metadata?: Record<string, unknown>;
  /** Why it is not connected, or what is held back. */
  last_error?: string | null;
  connected_at?: Date | null;
  created_at?: Date;
  updated_at?: Date;

  static from({ server, state }: ServerWithState): ListedMcpServerDto {
    return {
      id: server.id,
      name: server.name,
      description: server.description,
      status: state.status,
      connected: state.status === 'connected',
      tool_count: state.toolCount,
      active_tools: state.activeTools,
    };
  }
}

/** An MCP server, as the admin sees it. */
export class McpServerDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  name: string;
  description: string;
  transport: McpTransport;
  /** Program of a stdio server. */
  command: string | null;
  /** What looks like a secret is masked. */
  args: string[];
  /** Names of the variables; the values are masked. */
  @ApiProperty(TEXTS)
  env: Record<string, string>;
  /** What looks like a secret in its query is masked. */
  url: string | null;
  /** Names of the headers; the values are masked. */
  @ApiProperty(TEXTS)
  headers: Record<string, string>;
  enabled: boolean;
  sandbox: McpSandbox;
  metadata: Record<string, unknown>;
  /** What it is like in the process that answers. */
  status: McpStatus;
  connected: boolean;
  /** Why it is not connected, or what is held back. */
  last_error: string | null;
  /** Tools that the server lists, those held back too. */
  @ApiProperty({ type: 'integer' })
  tool_count: number;
  /** Tools that can be called now. */
  active_tools: string[];
  connected_at: Date | null;
  created_at: Date;
  updated_at: Date;

  static from({ server, state }: ServerWithState): McpServerDto {
    return {
      id: server.id,
      name: server.name,
      description: server.description,
      transport: server.transport,
      command: server.command,
      ...maskedFields(server),
      enabled: server.enabled,
      sandbox: server.sandbox,
      metadata: server.metadata,
      status: state.status,
      connected: state.status === 'connected',
      last_error: state.lastError,
      tool_count: state.toolCount,
      active_tools: state.activeTools,
      connected_at: state.connectedAt,
      created_at: server.createdAt,
      updated_at: server.updatedAt,
    };
  }
}

/** What a reload led to. */
export class McpReloadDto {
  name: string;
  connected: boolean;
  @ApiProperty({ type: 'integer' })
  tool_count: number;
  /** Tools that can be called now. */
  tools: string[];

  static from({ server, state }: ServerWithState): McpReloadDto {
    const connected = state.status === 'connected';
    return { name: server.name, connected, tool_count: state.toolCount, tools: state.activeTools };
  }
}
