import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { McpServer } from '../../../src/modules/mcp/mcp-server.js';
import type { ServerConnection } from '../../../src/modules/mcp/server-connection.js';
import { Setup } from './connection-setup.js';

let setup: Setup;
let seen: string[];
let inside: string;
const servers: Server[] = [];
beforeEach(async () => {
  setup = new Setup();
  seen = [];
  inside = await serve((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
});
afterEach(async () => {
  await setup.end();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const connect = (transport: McpServer['transport'], url: string): Promise<ServerConnection> =>
  setup.connect(setup.server({ transport, args: [], url, headers: { Authorization: 'Bearer a-given-token' } }));

it.each([
  ['http', 401],
  ['http', 403],
  ['sse', 401],
] as const)('does not go where a server says that its authorization is (%s, %i)', async (transport, status) => {
  const url = await serve((_request, response) => {
    const challenge = `Bearer error="insufficient_scope", scope="said-by-it", resource_metadata="${inside}/.well-known/oauth-protected-resource"`;
    response.writeHead(status, { 'www-authenticate': challenge }).end('a secret of an address inside');
  });
  const connection = await connect(transport, `${url}/mcp`);
  expect(connection.state()).toMatchObject({ status: 'failed', lastError: `it answered with HTTP status ${status}` });
  expect(seen).toEqual([]);
});

it('does not send messages where the stream of a server says', async () => {
  const url = await serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`event: endpoint\ndata: ${inside}/messages\n\n`);
  });
  const connection = await connect('sse', `${url}/sse`);
  expect(connection.state()).toMatchObject({ status: 'failed', connectedAt: null });
  expect(seen).toEqual([]);
});

it.each([301, 302, 303, 307, 308])(
  'does not follow a redirect elsewhere, with its token or without (%i)',
  async (status) => {
    const url = await serve((_request, response) => response.writeHead(status, { location: `${inside}/mcp` }).end());
    for (const transport of ['http', 'sse'] as const) {
      const connection = await connect(transport, `${url}/mcp`);
      expect(connection.state().lastError).toMatch(
        /^it redirects to another host or port|its redirect would change the method/,
      );
    }
    expect(seen).toEqual([]);
  },
);

it.each([
  ['an answer that is no message', { 'content-type': 'application/json' }, 'not json'],
  ['a page', { 'content-type': 'text/html' }, '<html>a page of an address inside</html>'],
  ['an answer of five megabytes', { 'content-type': 'application/json' }, `"${'x'.repeat(5_000_000)}"`],
  ['a stream that ends', { 'content-type': 'text/event-stream' }, ''],
])('bears %s, and says nothing of it', async (_what, headers, body) => {
  const url = await serve((_request, response) => response.writeHead(200, headers).end(body));
  const connection = await connect('http', `${url}/mcp`);
  expect(connection.state().status).toBe('failed');
  expect(connection.state().lastError).not.toMatch(/inside|xxx|html|not json/);
});
