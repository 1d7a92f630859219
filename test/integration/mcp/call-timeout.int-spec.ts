import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { CALL_TIMEOUT_MS } from '../../../src/modules/mcp/tools/mcp-tool.js';
import { Setup } from './connection-setup.js';
import { eventually } from '../../support/eventually.js';

let setup: Setup;
beforeEach(() => {
  setup = new Setup();
});
afterEach(async () => {
  jest.useRealTimers();
  await setup.end();
});

/** From now on timers are the test's; streams and sockets go on by themselves. */
const holdTimers = (): void => {
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance', 'Date'] });
};

it('ends a call after a minute, in the server too; other calls of the connection go on', async () => {
  const connection = await setup.connect(setup.server());
  holdTimers();
  const first = setup.call('mcp__small__late');
  await setup.begun(1);
  jest.advanceTimersByTime(CALL_TIMEOUT_MS - 1);
  const second = setup.call('mcp__small__late');
  await setup.begun(2);
  expect((await setup.call('mcp__small__cancelled')).text).toContain('[]');

  // The server answers both calls when it hears that the first one is cancelled.
  jest.advanceTimersByTime(1);
  expect(await first).toEqual({ isError: true, text: expect.stringContaining('did not end within 60 s') });
  expect((await first).text).toContain(
    '"small" did not finish the call. It last reported the progress 1 of 1 (nearly)',
  );
  expect((await second).text).toContain('after all');
  expect((await setup.call('mcp__small__cancelled')).text).toMatch(/\[\d+\]/);
  expect(connection.state()).toMatchObject({ status: 'connected', lastError: null });
});

it('does so over HTTP', async () => {
  const cancelled: unknown[] = [];
  const held: { id: number; response: ServerResponse }[] = [];
  const results: Record<string, object> = {
    initialize: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } },
    'tools/list': { tools: ['held', 'quick'].map((name) => ({ name, inputSchema: { type: 'object' } })) },
    'tools/call': { content: [{ type: 'text', text: 'after all' }] },
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<unknown> => {
    if (request.method !== 'POST') return response.writeHead(405).end();
    const { id, method, params } = (await json(request)) as Message;
    if (method === 'notifications/cancelled') cancelled.push(params.requestId);
    if (id === undefined) return response.writeHead(202).end();
    if (params?.name === 'held') return held.push({ id, response });
    const said = method in results ? { result: results[method] } : { error: { code: -32601, message: 'unknown' } };
    response.writeHead(200, { 'content-type': 'application/json' });
    return response.end(JSON.stringify({ jsonrpc: '2.0', id, ...said }));
  };
  const server = createServer((request, response) => void answer(request, response));
  try {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    const connection = await setup.connect(setup.server({ transport: 'http', args: [], url }));
    expect(connection.state()).toMatchObject({ status: 'connected', toolCount: 2 });
    holdTimers();
    const call = setup.call('mcp__small__held');
    await eventually('held.length > 0', () => held.length > 0);
    jest.advanceTimersByTime(CALL_TIMEOUT_MS);
    expect(await call).toEqual({ isError: true, text: expect.stringContaining('did not end within 60 s') });
    await eventually('cancelled.length > 0', () => cancelled.length > 0);
    expect(cancelled).toEqual(held.map(({ id }) => id));
    expect((await setup.call('mcp__small__quick')).text).toContain('after all');
    expect(connection.state()).toMatchObject({ status: 'connected', lastError: null });
  } finally {
    jest.useRealTimers();
    await setup.end();
    server.closeAllConnections();
    server.close();
  }
});

interface Message {
  id?: number;
  method: string;
  params: { name?: string; requestId?: unknown };
}
