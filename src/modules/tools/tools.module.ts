import { Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { AgentToolDiscovery } from './agent-tool-discovery.js';
import { COMMAND_TOOLS, FILE_TOOLS } from './builtin-tools.js';
import { Places } from './files/places.js';
import { AuthModule } from '../auth/index.js';
import { StartedWork } from './platform/started-work.js';
import { StartedWorkRepository } from './platform/started-work.repository.js';
import { Egress } from './sandbox/egress.js';
import { SandboxIndicator } from './sandbox/sandbox.indicator.js';
import { Sandbox } from './sandbox/sandbox.js';
import { ToolRegistry } from './tool-registry.js';
import { ToolsController } from './tools.controller.js';
import { TreeSweeper } from './work-tree/tree-sweeper.js';
import { WorkTrees } from './work-tree/work-trees.js';

/** The tools that models may call, the boundary that confines them, and work trees. Words: docs/glossary.md. */
@Module({
  controllers: [ToolsController],
  imports: [DiscoveryModule, AuthModule],
  providers: [
    ToolRegistry,
    AgentToolDiscovery,
    Places,
    Egress,
    Sandbox,
    SandboxIndicator,
    StartedWork,
    StartedWorkRepository,
    WorkTrees,
    TreeSweeper,
    ...FILE_TOOLS,
    ...COMMAND_TOOLS,
  ],
  exports: [ToolRegistry, Sandbox, StartedWork, StartedWorkRepository, WorkTrees, TreeSweeper],
})
export class ToolsModule {}
