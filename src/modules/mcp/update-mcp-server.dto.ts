import { ApiProperty } from '@nestjs/swagger';
import { IsBoolean, IsIn, IsObject, IsOptional, IsString, Length, Matches, MaxLength } from 'class-validator';
import { IgnoresReadOnly, MaxJsonBytes, MayBeOmitted } from '../../platform/http/index.js';
import { ENV_NAME, HEADER_NAME, HEADER_VALUE, TextItems, TextMap } from './limits.js';
import {
  MCP_SANDBOXES,
  SERVER_NAME,
  SERVER_NAME_RULE,
  TRANSPORTS,
  type McpSandbox,
  type McpServerSettings,
  type McpTransport,
} from './mcp-server.js';
import type { ChangedMcpServerDto } from './mcp-server.dto.js';

/** Changes of an MCP server: fields that are left out stay as they are. A changed connection is made anew. */
@IgnoresReadOnly<ChangedMcpServerDto>(
  'id',
  'status',
  'connected',
  'last_error',
  'tool_count',
  'active_tools',
  'pinned_tools',
  'connected_at',
  'created_at',
  'updated_at',
)
export class UpdateMcpServerDto {
  /** Unique; the middle of its tools' names, `mcp__<name>__<tool>`. */
  @MayBeOmitted()
  @IsString()
  @Matches(SERVER_NAME, { message: SERVER_NAME_RULE })
  @ApiProperty({ pattern: SERVER_NAME.source })
  name?: string;

  @MayBeOmitted()
  @IsString()
  @MaxLength(2_000)
  description?: string;

  /** `stdio` starts a program, `http` is streamable HTTP, `sse` the transport of 2024. */
  @MayBeOmitted()
  @IsIn(TRANSPORTS)
  transport?: McpTransport;

  /** Program of a stdio server; it is started without a shell. */
  @IsOptional()
  @IsString()
  @Length(1, 1_000)
  command?: string | null;

  /** An argument that is sent back with its masks keeps what it was. */
  @MayBeOmitted()
  @TextItems({ maxItems: 100, maxLength: 4_000 })
  args?: string[];

  /** Replaces the environment; a value that is the mask keeps the value there is. */
  @MayBeOmitted()
  @TextMap({ maxItems: 100, maxLength: 32_768, names: ENV_NAME })
  env?: Record<string, string>;

  /** Variables of `env` whose values models may read in what the server says; plain settings may be read anyway. */
  @MayBeOmitted()
  @TextItems({ maxItems: 100, maxLength: 128, values: ENV_NAME })
  public_env?: string[];

  /** Address of an http or sse server; one that is sent back with its masks keeps what it was. */
  @IsOptional()
  @IsString()
  @Length(1, 2_000)
  url?: string | null;

  /** Replaces the headers; a value that is the mask keeps the value there is. */
  @MayBeOmitted()
  @TextMap({ maxItems: 50, maxLength: 8_192, names: HEADER_NAME, values: HEADER_VALUE })
  headers?: Record<string, string>;

  /** Whether it is connected and its tools are offered. */
  @MayBeOmitted()
  @IsBoolean()
  enabled?: boolean;

  /** Where the program of a stdio server runs; what cannot be enforced is not run. */
  @MayBeOmitted()
  @IsIn(MCP_SANDBOXES)
  sandbox?: McpSandbox;

  /** At most 16 KiB as JSON. */
  @MayBeOmitted()
  @IsObject()
  @MaxJsonBytes(16_384)
  metadata?: Record<string, unknown>;

  toPatch(): Partial<McpServerSettings> {
    return {
      name: this.name,
      description: this.description,
      transport: this.transport,
      command: this.command,
      args: this.args,
      env: this.env,
      publicEnv: this.public_env,
      url: this.url,
      headers: this.headers,
      enabled: this.enabled,
      sandbox: this.sandbox,
      metadata: this.metadata,
    };
  }
}
