import { Module } from '@nestjs/common';
import { EditFileTool } from './files/edit-file.tool.js';
import { ListDirTool } from './files/list-dir.tool.js';
import { Places } from './files/places.js';
import { ReadFileTool } from './files/read-file.tool.js';
import { SearchCodebaseTool } from './files/search-codebase.tool.js';
import { WriteFileTool } from './files/write-file.tool.js';
import { GitCommitTool, GitDiffTool, GitLogTool, GitStatusTool } from './git/git-tools.js';
import { Egress } from './sandbox/egress.js';
import { Sandbox } from './sandbox/sandbox.js';
import { RunShellTool } from './shell/run-shell.tool.js';
import { ToolRegistry } from './tool-registry.js';
import { ToolsController } from './tools.controller.js';
import { WorkTrees } from './work-tree/work-trees.js';

/** The tools that models may call, the boundary that confines them, and work trees. Words: docs/glossary.md. */
@Module({
  controllers: [ToolsController],
  providers: [ToolRegistry, Places, Egress, Sandbox, WorkTrees],
  exports: [ToolRegistry, Sandbox, WorkTrees],
})
export class ToolsModule {
  constructor(registry: ToolRegistry, places: Places, sandbox: Sandbox) {
    for (const tool of [ListDirTool, ReadFileTool, WriteFileTool, EditFileTool, SearchCodebaseTool]) {
      registry.register(new tool(places));
    }
    for (const tool of [RunShellTool, GitStatusTool, GitDiffTool, GitLogTool, GitCommitTool]) {
      registry.register(new tool(sandbox));
    }
  }
}
