import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { ForwardProxy } from '../../support/forward-proxy.js';
import { Setup } from './connection-setup.js';

let server: Server;
let proxy: ForwardProxy;
let setup: Setup | undefined;
beforeEach(async () => {
  server = createServer((_request, response) => response.writeHead(418).end());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  proxy = await ForwardProxy.start(() => (server.address() as AddressInfo).port);
});
afterEach(async () => {
  await setup?.end();
  await proxy.stop();
  server.closeAllConnections();
  server.close();
});

async function lastError(env: Record<string, string>, url: string): Promise<string | null> {
  const both = { HTTP_PROXY: `http://user:word@${proxy.address}`, HTTPS_PROXY: proxy.address };
  setup = new Setup({ ...both, ...env });
  return (await setup.connect(setup.server({ transport: 'http', args: [], url }))).state().lastError;
}

it.each(['http', 'https'])('does not carry MCP over %s unless it is trusted', async (scheme) => {
  expect(await lastError({}, `${scheme}://mcp.test/`)).toContain('does not resolve');
  expect(proxy.asked).toEqual([]);
});

it('carries MCP when it is trusted, with its credentials', async () => {
  expect(await lastError({ PROXY_TRUSTED: '1' }, 'http://mcp.test/')).toContain('HTTP status 418');
  expect(proxy.asked[0]).toBe('POST http://mcp.test/');
  expect([...proxy.credentials]).toEqual(['user:word']);
});

it('is left out for hosts of NO_PROXY and for this machine also when it is trusted', async () => {
  const env = { PROXY_TRUSTED: '1', NO_PROXY: 'mcp.test' };
  expect(await lastError(env, 'http://mcp.test/')).toContain('does not resolve');
  await setup?.end();
  const { port } = server.address() as AddressInfo;
  expect(await lastError(env, `http://127.0.0.1:${port}/`)).toContain('HTTP status 418');
  expect(proxy.asked).toEqual([]);
});

it('is named where it refuses, and where it is gone', async () => {
  proxy.refuses = 407;
  expect(await lastError({ PROXY_TRUSTED: '1' }, 'https://mcp.test/')).toContain('the proxy refused the connection');
  expect(proxy.asked).toContain('CONNECT mcp.test:443');
  await setup?.end();
  expect(await lastError({ PROXY_TRUSTED: '1' }, 'http://mcp.test/')).toContain('the proxy wants other credentials');
  await setup?.end();
  const gone = { PROXY_TRUSTED: '1', HTTPS_PROXY: '127.0.0.1:9' };
  expect(await lastError(gone, 'https://mcp.test/')).toContain('the proxy cannot be reached (ECONNREFUSED)');
});
