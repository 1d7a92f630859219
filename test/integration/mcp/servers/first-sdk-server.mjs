// A server on the first release of the SDK, of protocol 2024-11-05: over standard streams, or with a port file over SSE.
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import { Server } from 'mcp-sdk-2024/server/index.js';
import { SSEServerTransport } from 'mcp-sdk-2024/server/sse.js';
import { StdioServerTransport } from 'mcp-sdk-2024/server/stdio.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from 'mcp-sdk-2024/types.js';

const [kind, portFile] = process.argv.slice(2);
const server = new Server({ name: 'first', version: '1.0.0' }, { capabilities: { tools: {} } });
server.setRequestHandler(ListToolsRequestSchema, () => ({
  tools: [{ name: 'add', description: 'Adds.', inputSchema: { type: 'object' } }],
}));
server.setRequestHandler(CallToolRequestSchema, ({ params: { arguments: args } }) => ({
  content: [{ type: 'text', text: `sum ${args.a + args.b}` }],
}));

if (kind === 'stdio') {
  await server.connect(new StdioServerTransport());
} else {
  let transport;
  const web = createServer((request, response) => {
    if (request.method === 'POST') return void transport.handlePostMessage(request, response);
    transport = new SSEServerTransport('/messages', response);
    void server.connect(transport);
  });
  web.listen(0, '127.0.0.1', () => writeFileSync(portFile, String(web.address().port)));
}
