import { Module } from '@nestjs/common';
import { ToolsModule } from '../tools/index.js';
import { McpConnections } from './mcp-connections.js';
import { McpServersController } from './mcp-servers.controller.js';
import { McpServersRepository } from './mcp-servers.repository.js';
import { McpServersService } from './mcp-servers.service.js';
import { TransportFactory } from './transports/transport-factory.js';

/** Tools from MCP servers. Words: docs/glossary.md. */
@Module({
  imports: [ToolsModule],
  controllers: [McpServersController],
  providers: [McpServersRepository, McpServersService, McpConnections, TransportFactory],
  exports: [McpConnections],
})
export class McpModule {}
