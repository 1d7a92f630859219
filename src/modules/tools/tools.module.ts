import { Module } from '@nestjs/common';
import { EditFileTool } from './files/edit-file.tool.js';
import { ListDirTool } from './files/list-dir.tool.js';
import { ReadFileTool } from './files/read-file.tool.js';
import { SearchCodebaseTool } from './files/search-codebase.tool.js';
import { WriteFileTool } from './files/write-file.tool.js';
import { ToolRegistry } from './tool-registry.js';
import { WorkTrees } from './work-tree/work-trees.js';

/**
 * A *tool* is something a model may call; the *registry* holds all of them. A *root* is the one folder that a call may
 * touch, and the *boundary* what keeps it inside. A *work tree* is the copy of the workspace that one task works in.
 */
@Module({ providers: [ToolRegistry, WorkTrees], exports: [ToolRegistry, WorkTrees] })
export class ToolsModule {
  constructor(registry: ToolRegistry) {
    const tools = [ListDirTool, ReadFileTool, WriteFileTool, EditFileTool, SearchCodebaseTool];
    for (const tool of tools) registry.register(new tool());
  }
}
