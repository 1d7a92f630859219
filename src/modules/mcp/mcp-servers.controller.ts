import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import {
  PageQueryDto,
  Problems,
  RequiresAdmin,
  RequiresKey,
  UuidParam,
  linkAfterName,
  namePage,
} from '../../platform/http/index.js';
import { CurrentPrincipal, type Principal } from '../auth/index.js';
import { CreateMcpServerDto } from './create-mcp-server.dto.js';
import { SERVER_NAME } from './mcp-server.js';
import { ChangedMcpServerDto, ListedMcpServerDto, McpReloadDto, McpServerDto, McpToolDto } from './mcp-server.dto.js';
import { McpServersService } from './mcp-servers.service.js';
import { ReloadMcpServerDto } from './reload-mcp-server.dto.js';
import { UpdateMcpServerDto } from './update-mcp-server.dto.js';

@Controller('api/v1/mcp-servers')
export class McpServersController {
  constructor(private readonly servers: McpServersService) {}

  /** Lists the MCP servers by name; how they are reached is shown to the admin only, and secrets to nobody. */
  @RequiresKey()
  @Get()
  async list(
    @Query() query: PageQueryDto,
    @CurrentPrincipal() principal: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ListedMcpServerDto[]> {
    const { limit, offset, afterName } = namePage(query, (name) => SERVER_NAME.test(name));
    const found = await this.servers.list({ limit: limit + 1, offset, afterName });
    const shown = found.slice(0, limit);
    const last = shown.at(-1);
    if (found.length > limit && last !== undefined) linkAfterName(reply, last.server.name);
    return shown.map((one) => (principal.kind === 'admin' ? McpServerDto.from(one) : ListedMcpServerDto.from(one)));
  }

  /** Adds an MCP server and tries to connect it for at most 10 s; the answer says how that went. */
  @RequiresAdmin()
  @Problems('name_taken', 'conflict')
  @Post()
  async create(@Body() body: CreateMcpServerDto): Promise<McpServerDto> {
    return McpServerDto.from(await this.servers.create(body.toSettings()));
  }

  /** Changes an MCP server; if its connection changed, it is connected anew and its tools are pinned as they are then. */
  @RequiresAdmin()
  @Problems('not_found', 'name_taken')
  @Patch(':id')
  async update(@UuidParam() id: string, @Body() body: UpdateMcpServerDto): Promise<ChangedMcpServerDto> {
    return ChangedMcpServerDto.fromChange(await this.servers.update(id, body.toPatch()));
  }

  /** Removes an MCP server; its tools and its process are gone when this answers. */
  @RequiresAdmin()
  @Problems('not_found')
  @HttpCode(204)
  @Delete(':id')
  async delete(@UuidParam() id: string): Promise<void> {
    await this.servers.delete(id);
  }

  /** The tools of an MCP server: the definition that is pinned and the one that is offered now. */
  @RequiresAdmin()
  @Problems('not_found')
  @Get(':id/tools')
  async tools(@UuidParam() id: string): Promise<McpToolDto[]> {
    return (await this.servers.tools(id)).map((tool) => McpToolDto.from(tool));
  }

  /**
   * Connects an MCP server anew; the old connection serves until the new one is ready. Nothing that changed is accepted but
   * what `accept` names by the hash of its present definition.
   */
  @RequiresAdmin()
  @Problems('not_found', 'definition_moved', 'conflict')
  @HttpCode(200)
  @Post(':id/reload')
  async reload(@UuidParam() id: string, @Body() body: ReloadMcpServerDto): Promise<McpReloadDto> {
    return McpReloadDto.from(await this.servers.reload(id, new Map(Object.entries(body.accept ?? {}))));
  }
}
