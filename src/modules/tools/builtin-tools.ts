import { EditFileTool } from './files/edit-file.tool.js';
import { ListDirTool } from './files/list-dir.tool.js';
import { ReadFileTool } from './files/read-file.tool.js';
import { SearchCodebaseTool } from './files/search-codebase.tool.js';
import { WriteFileTool } from './files/write-file.tool.js';
import { GitCommitTool, GitDiffTool, GitLogTool, GitStatusTool } from './git/git-tools.js';
import { RunShellTool } from './shell/run-shell.tool.js';

/** The tools of this module that reach files by themselves. */
export const FILE_TOOLS = [ListDirTool, ReadFileTool, WriteFileTool, EditFileTool, SearchCodebaseTool];
/** Those that run a program in the sandbox. */
export const COMMAND_TOOLS = [RunShellTool, GitStatusTool, GitDiffTool, GitLogTool, GitCommitTool];
