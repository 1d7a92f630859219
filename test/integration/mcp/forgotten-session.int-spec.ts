import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Setup } from './connection-setup.js';

let setup: Setup;
let server: Server;
/** Sessions that the server knows. */
const sessions = new Set<string>();
let begun = 0;
let calls = 0;
/** How it refuses a session that it does not know. */
let refusal = { status: 404, body: 'Session not found' };

beforeEach(async () => {
  setup = new Setup();
  sessions.clear();
  begun = calls = 0;
  server = createServer((request, response) => {
    void answer(request).then(({ status, body, session }) => {
      response.writeHead(status, {
        'content-type': 'application/json',
        ...(session === undefined ? {} : { 'mcp-session-id': session }),
      });
      response.end(body === undefined ? '' : JSON.stringify(body));
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterEach(async () => {
  await setup.end();
  server.closeAllConnections();
  server.close();
});

async function answer(request: IncomingMessage): Promise<{ status: number; body?: unknown; session?: string }> {
  if (request.method !== 'POST') return { status: 405 };
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { id, method } = JSON.parse(Buffer.concat(chunks).toString()) as { id?: number; method: string };
  const result = (value: object): object => ({ jsonrpc: '2.0', id, result: value, error: null });
  if (method === 'server/discover')
    return { status: 200, body: { jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } } };
  if (method === 'initialize') {
    const session = `session-${(begun += 1)}`;
    sessions.add(session);
    const about = {
      protocolVersion: '2025-06-18',
      capabilities: { tools: {} },
      serverInfo: { name: 'x', version: '1' },
    };
    return { status: 200, session, body: result(about) };
  }
  if (!sessions.has(String(request.headers['mcp-session-id']))) return { status: refusal.status, body: refusal.body };
  if (id === undefined) return { status: 202 };
  if (method === 'tools/list')
    return { status: 200, body: result({ tools: [{ name: 'count', inputSchema: { type: 'object' } }] }) };
  calls += 1;
  return { status: 200, body: result({ content: [{ type: 'text', text: `call ${calls}`, annotations: null }] }) };
}

it.each([
  [404, 'Session not found'],
  [400, 'Bad Request: No valid session ID provided'],
])('begins a new session where the server forgot it, and makes the calls once (%i)', async (status, body) => {
  refusal = { status, body };
  const { port } = server.address() as AddressInfo;
  const connection = await setup.connect(
    setup.server({ transport: 'http', args: [], url: `http://127.0.0.1:${port}/mcp` }),
  );
  expect((await setup.call('mcp__small__count')).text).toContain('call 1');
  sessions.clear();
  const both = await Promise.all([setup.call('mcp__small__count'), setup.call('mcp__small__count')]);
  expect(both.map(({ isError }) => isError ?? false)).toEqual([false, false]);
  expect(new Set(both.map(({ text }) => /call \d/.exec(text)?.[0]))).toEqual(new Set(['call 2', 'call 3']));
  expect({ begun, calls }).toEqual({ begun: 2, calls: 3 });
  expect(connection.state().status).toBe('connected');
});

it('says that nothing was done when it is not reached', async () => {
  const { port } = server.address() as AddressInfo;
  await setup.connect(setup.server({ transport: 'http', args: [], url: `http://127.0.0.1:${port}/mcp` }));
  server.closeAllConnections();
  server.close();
  // The first may still have gone out on a connection that was being cut.
  await setup.call('mcp__small__count');
  expect((await setup.call('mcp__small__count')).text).toMatch(/nothing was done|is not connected/);
});
