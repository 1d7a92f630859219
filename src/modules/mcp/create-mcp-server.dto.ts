import { ApiProperty } from '@nestjs/swagger';
import { IsBoolean, IsIn, IsObject, IsOptional, IsString, Length, Matches, MaxLength } from 'class-validator';
import { MaxJsonBytes, MayBeOmitted, type PatchFields } from '../../platform/http/index.js';
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

/** A new MCP server. */
export class CreateMcpServerDto {
  /** Unique; the middle of its tools' names, `mcp__<name>__<tool>`. */
  @IsString()
  @Matches(SERVER_NAME, { message: SERVER_NAME_RULE })
  @ApiProperty({ pattern: SERVER_NAME.source })
  name: string;

  @MayBeOmitted()
  @IsString()
  @MaxLength(2_000)
  description?: string = '';

  /** `stdio` starts a program, `http` is streamable HTTP, `sse` the transport of 2024. */
  @IsIn(TRANSPORTS)
  transport: McpTransport;

  /** Program of a stdio server; it is started without a shell. */
  @IsOptional()
  @IsString()
  @Length(1, 1_000)
  command?: string | null = null;

  /** Everybody on the machine can read them; secrets belong into `env`. */
  @MayBeOmitted()
  @TextItems({ maxItems: 100, maxLength: 4_000 })
  args?: string[] = [];

  /** Environment of a stdio server, beside PATH, HOME and LANG. Values read as a mask. */
  @MayBeOmitted()
  @TextMap({ maxItems: 100, maxLength: 32_768, names: ENV_NAME })
  env?: Record<string, string> = {};

  /** Variables of `env` whose values models may read in what the server says; plain settings may be read anyway. */
  @MayBeOmitted()
  @TextItems({ maxItems: 100, maxLength: 128, values: ENV_NAME })
  public_env?: string[] = [];

  /** Address of an http or sse server. */
  @IsOptional()
  @IsString()
  @Length(1, 2_000)
  url?: string | null = null;

  /** Headers of every request to an http or sse server. Values are secret: they read as a mask. */
  @MayBeOmitted()
  @TextMap({ maxItems: 50, maxLength: 8_192, names: HEADER_NAME, values: HEADER_VALUE })
  headers?: Record<string, string> = {};

  /** Whether it is connected and its tools are offered. */
  @MayBeOmitted()
  @IsBoolean()
  enabled?: boolean = true;

  /** Where the program of a stdio server runs; what cannot be enforced is not run. */
  @MayBeOmitted()
  @IsIn(MCP_SANDBOXES)
  sandbox?: McpSandbox = 'none';

  /** At most 16 KiB as JSON. */
  @MayBeOmitted()
  @IsObject()
  @MaxJsonBytes(16_384)
  metadata?: Record<string, unknown> = {};

  toSettings(): McpServerSettings {
    // Validated, so that the required fields are there; the others have their defaults.
    return mcpServerSettingsOf(this) as McpServerSettings;
  }
}

/** The settings that `fields` name; absent ones are undefined. */
export function mcpServerSettingsOf(fields: PatchFields<CreateMcpServerDto>): Partial<McpServerSettings> {
  return {
    name: fields.name,
    description: fields.description,
    transport: fields.transport,
    command: fields.command,
    args: fields.args,
    env: fields.env,
    publicEnv: fields.public_env,
    url: fields.url,
    headers: fields.headers,
    enabled: fields.enabled,
    sandbox: fields.sandbox,
    metadata: fields.metadata,
  };
}
