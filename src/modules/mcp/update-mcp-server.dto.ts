import { ApiProperty } from '@nestjs/swagger';
import { IgnoresReadOnly, PatchOf } from '../../platform/http/index.js';
import { CreateMcpServerDto, mcpServerSettingsOf } from './create-mcp-server.dto.js';
import type { ChangedMcpServerDto } from './mcp-server.dto.js';
import type { McpServerSettings } from './mcp-server.js';

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
export class UpdateMcpServerDto extends PatchOf(CreateMcpServerDto) {
  @ApiProperty({ description: 'An argument that is sent back with its masks keeps what it was.' })
  override args?: string[];

  @ApiProperty({ description: 'Replaces the environment; a value that is the mask keeps the value there is.' })
  override env?: Record<string, string>;

  @ApiProperty({
    description: 'Address of an http or sse server; one that is sent back with its masks keeps what it was.',
  })
  override url?: string | null;

  @ApiProperty({ description: 'Replaces the headers; a value that is the mask keeps the value there is.' })
  override headers?: Record<string, string>;

  toPatch(): Partial<McpServerSettings> {
    return mcpServerSettingsOf(this);
  }
}
