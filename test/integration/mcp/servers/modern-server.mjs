// A server on the SDK of the 2026 protocol: over standard streams, or with a port file over HTTP. `reject` leaves the old
// protocols out.
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';

const [kind, legacy, portFile] = process.argv.slice(2);
let grown = false;
let toolsChanged = () => undefined;
const grow = (server) =>
  server.registerTool('grown', { description: 'Came later.', inputSchema: z.object({}) }, () => ({
    content: [{ type: 'text', text: 'it has grown' }],
  }));
const factory = () => {
  const server = new McpServer({ name: 'modern', version: '1.0.0' });
  server.registerTool('grow', { description: 'Adds a tool.', inputSchema: z.object({}) }, () => {
    grown = true;
    if (kind === 'stdio') grow(server);
    else toolsChanged();
    return { content: [{ type: 'text', text: 'growing' }] };
  });
  if (grown) grow(server);
  server.registerTool(
    'add',
    { description: 'Adds.', inputSchema: z.object({ a: z.number(), b: z.number() }) },
    ({ a, b }) => ({
      content: [{ type: 'text', text: `sum ${a + b}` }],
    }),
  );
  return server;
};
const options = legacy === 'reject' ? { legacy: 'reject' } : {};

if (kind === 'stdio') {
  serveStdio(factory, options);
} else {
  const handler = createMcpHandler(factory, options);
  toolsChanged = () => handler.notify.toolsChanged();
  const server = createServer((request, response) => void serve(request, response));
  const serve = async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = chunks.length > 0 ? Buffer.concat(chunks) : undefined;
    const answer = await handler.fetch(
      new Request(`http://127.0.0.1${request.url}`, { method: request.method, headers: request.headers, body }),
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (answer.body === null) response.end();
    else
      Readable.fromWeb(answer.body)
        .on('error', () => response.destroy())
        .pipe(response);
  };
  server.listen(0, '127.0.0.1', () => writeFileSync(portFile, String(server.address().port)));
}
