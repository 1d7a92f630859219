export { McpConnections } from './mcp-connections.js';
export { McpModule } from './mcp.module.js';
