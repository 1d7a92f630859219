/** @needs bwrap */
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { AppConfig } from '../../../src/config/index.js';
import { checkedLookup, urlFault } from '../../../src/platform/egress/index.js';
import type { McpSandbox } from '../../../src/modules/mcp/mcp-server.js';
import { Egress } from '../../../src/modules/tools/sandbox/egress.js';
import { Sandbox } from '../../../src/modules/tools/sandbox/sandbox.js';
import { ROOT, Setup } from './connection-setup.js';

/** Takes loopback for public, so that a connection can be seen to arrive. */
class OpenEgress extends Egress {
  protected override readonly lookup = checkedLookup(true);
  protected override fault(url: URL): string | null {
    return urlFault(url, true);
  }
}

const CONFIG = AppConfig.from({});
let canary: Server;
let port: number;
let reached = 0;
let setup: Setup;
const egresses: Egress[] = [];
beforeAll(async () => {
  canary = createServer((_request, reply) => reply.end('here'));
  canary.on('connection', () => reached++);
  await once(canary.listen(0), 'listening');
  ({ port } = canary.address() as AddressInfo);
});
afterEach(async () => {
  await setup.end();
  for (const egress of egresses.splice(0)) await egress.onApplicationShutdown();
});
afterAll(() => {
  canary.closeAllConnections();
  canary.close();
});

/** What a server in `sandbox` found of `targets`, in their order. */
async function found(sandbox: McpSandbox, egress: Egress, targets: string[]): Promise<string[]> {
  egresses.push(egress);
  setup = new Setup({}, (config) => new Sandbox(config, egress));
  copyFileSync(join(ROOT, 'test/integration/mcp/servers/network-server.mjs'), join(setup.workspace, 'server.mjs'));
  const args = ['/workspace/server.mjs', JSON.stringify(targets)];
  const connection = await setup.connect(setup.server({ command: 'node', args, sandbox }));
  expect(connection.state()).toMatchObject({ status: 'connected', lastError: null });
  return connection.tools().map(({ definition }) => definition.description);
}

const own = (): string[] =>
  Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address),
  );
const INSIDE = ['localhost', '127.0.0.1', '127.1', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]', '[64:ff9b::7f00:1]'];
const ELSEWHERE = ['10.0.0.1', '192.168.0.1', '172.16.0.1', '100.64.0.1', '169.254.169.254', '168.63.129.16'];

it('workspace_network reaches nothing of this machine, no private network and no machine secrets', async () => {
  const targets = [...INSIDE, ...own(), ...ELSEWHERE].map((host) => `${host}:${port}`);
  const results = await found('workspace_network', new Egress(CONFIG), targets);
  expect(results).toHaveLength(targets.length);
  for (const result of results) expect(result).toMatch(/^E[A-Z_]+ \| 403 \| 403$/);
  expect(reached).toBe(0);
});

it('workspace_network reaches by its proxy, and by it alone, what the rules let through', async () => {
  const [result] = await found('workspace_network', new OpenEgress(CONFIG), [`127.0.0.1:${port}`]);
  expect(result).toMatch(/^E[A-Z_]+ \| REACHED \| REACHED$/);
  expect(reached).toBe(2);
});

it('workspace reaches nothing', async () => {
  const before = reached;
  const targets = [`127.0.0.1:${port}`, `[::1]:${port}`, ...own().map((host) => `${host}:${port}`), '1.1.1.1:80'];
  for (const result of await found('workspace', new OpenEgress(CONFIG), targets)) {
    expect(result).toMatch(/^E[A-Z_]+ \| no proxy \| no proxy$/);
  }
  expect(reached).toBe(before);
});

it('none reaches this machine, so the others are kept from something', async () => {
  const before = reached;
  setup = new Setup();
  const args = [join(ROOT, 'test/integration/mcp/servers/network-server.mjs'), JSON.stringify([`127.0.0.1:${port}`])];
  const connection = await setup.connect(setup.server({ args }));
  expect(connection.tools()[0]?.definition.description).toBe('REACHED | no proxy | no proxy');
  expect(reached).toBe(before + 1);
});
