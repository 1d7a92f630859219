export type { AllowedTools, Tool, ToolContext, ToolResult } from './tool.js';
