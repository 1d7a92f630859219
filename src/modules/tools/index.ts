export { AgentTool } from './agent-tool.js';
export {
  TreeUnavailableError,
  type AllowedTools,
  type CallPlace,
  type Spending,
  type Tool,
  type ToolContext,
  type ToolResult,
  type ToolSource,
  type WorkingTree,
} from './tool.js';
export { ToolRegistry } from './tool-registry.js';
export { Sandbox, SandboxRefusedError } from './sandbox/sandbox.js';
export { ToolsModule } from './tools.module.js';
export type { GitTrap, GitTrapKind, GitTraps } from './work-tree/git-traps.js';
export type { Conflict, ConflictCause } from './work-tree/publication.js';
export { toldConflicts, toldTraps } from './work-tree/told-publication.js';
export { TreeSweeper } from './work-tree/tree-sweeper.js';
export { KeptListing } from './work-tree/kept-listing.js';
export { isReadable, type OpenContent, type Side, type TreeLook } from './work-tree/tree-look.js';
export type { ShownEncoding } from './work-tree/decoded-text.js';
export type { Difference, TreeChange, TreeDiff } from './work-tree/tree-diff.js';
export { WorkTreeFencedError } from './work-tree/tree-maker.js';
export {
  WorkTrees,
  type Published,
  type PublishOptions,
  type TaskFate,
  type WorkTree,
} from './work-tree/work-trees.js';
export { assertWorkspaceAllowed } from './work-tree/workspace-rules.js';
export { PlatformTool, StartingTool } from './platform/platform-tool.js';
export { ancestorsBelow, StartedWork } from './platform/started-work.js';
export { StartedWorkRepository } from './platform/started-work.repository.js';
export { wireName } from './wire-name.js';
export { OfferedTools, SEARCH_TOOLS } from './offered-tools.js';
export { LeftOutToolsDto } from './left-out-tools.dto.js';
