import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { AgentTool } from './agent-tool.js';
import { ToolRegistry } from './tool-registry.js';
import type { Tool } from './tool.js';

/** Puts the providers that `AgentTool` marks into the registry, before the first request. */
@Injectable()
export class AgentToolDiscovery implements OnModuleInit {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly registry: ToolRegistry,
  ) {}

  /** @throws Error when two tools have one name. */
  onModuleInit(): void {
    const providers = this.discovery.getProviders({ metadataKey: AgentTool.KEY });
    for (const { instance } of providers as { instance: Tool }[]) this.registry.register(instance);
  }
}
