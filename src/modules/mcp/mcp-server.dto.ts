import { ApiProperty } from '@nestjs/swagger';
import {
  TOOL_STATES,
  type McpSandbox,
  type McpStatus,
  type McpToolState,
  type McpToolView,
  type McpTransport,
} from './mcp-server.js';
import type { ServerAfterChange, ServerWithState } from './mcp-servers.service.js';
import { maskedFields } from './secrets.js';

const TEXTS = { type: 'object', additionalProperties: { type: 'string' } } as const;

/** An MCP server. What only the admin sees is left out for others. */
export class ListedMcpServerDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  name: string;
  description: string;
  /** State in the process that answers. */
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
  /** Values that look like secrets are masked. */
  args?: string[];
  /** Names of the variables; the values are masked. */
  @ApiProperty(TEXTS)
  env?: Record<string, string>;
  /** Variables whose values models may read in what the server says, beside plain settings. */
  public_env?: string[];
  /** Query values that look like secrets are masked. */
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
  /** Values that look like secrets are masked. */
  args: string[];
  /** Names of the variables; the values are masked. */
  @ApiProperty(TEXTS)
  env: Record<string, string>;
  /** Variables whose values models may read in what the server says, beside plain settings. */
  public_env: string[];
  /** Query values that look like secrets are masked. */
  url: string | null;
  /** Names of the headers; the values are masked. */
  @ApiProperty(TEXTS)
  headers: Record<string, string>;
  enabled: boolean;
  sandbox: McpSandbox;
  metadata: Record<string, unknown>;
  /** State in the process that answers. */
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
      public_env: server.publicEnv,
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

/** A definition of a tool by its fingerprint. */
export class PinnedToolDto {
  name: string;
  /** SHA-256 of everything that the server says about the tool. */
  hash: string;
}

/** An MCP server after a change. */
export class ChangedMcpServerDto extends McpServerDto {
  /** Definitions that were pinned since the connection is another one; null where it is the same as before. */
  @ApiProperty({ type: [PinnedToolDto], nullable: true })
  pinned_tools: PinnedToolDto[] | null;

  static fromChange({ pinned, ...changed }: ServerAfterChange): ChangedMcpServerDto {
    return Object.assign(McpServerDto.from(changed), { pinned_tools: pinned });
  }
}

/** What is known of a definition. */
export class McpToolDefinitionDto {
  /** SHA-256 of everything that the server says about the tool. */
  hash: string;
  /** What the server says about the tool, without secrets and with long texts cut; null where it was not kept. */
  @ApiProperty({ type: 'object', additionalProperties: true, nullable: true })
  definition: Record<string, unknown> | null;
}

/** A tool of an MCP server: the definition that is accepted, and the one that is offered. */
export class McpToolDto {
  name: string;
  /**
   * `active` is offered as it is pinned; `changed` is quarantined until `reload` accepts its present hash; `absent` is not
   * offered now; `unpinned` came when there were too many; `unknown` while the server is not connected.
   */
  @ApiProperty({ enum: TOOL_STATES })
  state: McpToolState;
  @ApiProperty({ type: McpToolDefinitionDto, nullable: true })
  pinned: McpToolDefinitionDto | null;
  @ApiProperty({ type: McpToolDefinitionDto, nullable: true })
  present: McpToolDefinitionDto | null;

  static from({ name, state, pinned, present }: McpToolView): McpToolDto {
    return { name, state, pinned, present };
  }
}

/** Result of a reload. */
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
