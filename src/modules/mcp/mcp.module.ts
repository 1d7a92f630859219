import { Module } from '@nestjs/common';
import { RedisModule } from '../../platform/redis/index.js';
import { SecretsModule } from '../../platform/secrets/index.js';
import { ToolsModule } from '../tools/index.js';
import { McpConnections } from './mcp-connections.js';
import { McpIndicator } from './mcp.indicator.js';
import { McpServersController } from './mcp-servers.controller.js';
import { McpServersRepository } from './mcp-servers.repository.js';
import { McpServersService } from './mcp-servers.service.js';
import { TransportFactory } from './transports/transport-factory.js';

/** Tools from MCP servers. Words: docs/glossary.md. */
@Module({
  imports: [RedisModule, SecretsModule, ToolsModule],
  controllers: [McpServersController],
  providers: [McpServersRepository, McpServersService, McpConnections, McpIndicator, TransportFactory],
})
export class McpModule {}
