import { DiscoveryService } from '@nestjs/core';

/**
 * The provider is a `Tool` that the registry holds for good. It is found when its module is imported, and nowhere registered by
 * hand; tools of MCP servers, which come and go, are no providers.
 */
export const AgentTool = DiscoveryService.createDecorator();
