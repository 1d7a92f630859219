import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Logger } from '@nestjs/common';
import { AppConfig } from '../../../src/config/index.js';
import type { McpServer } from '../../../src/modules/mcp/mcp-server.js';
import { ServerConnection } from '../../../src/modules/mcp/server-connection.js';
import { TransportFactory } from '../../../src/modules/mcp/transports/transport-factory.js';
import { SandboxRefusedError, ToolRegistry, type Sandbox, type ToolResult } from '../../../src/modules/tools/index.js';
import { Clock } from '../../../src/platform/clock/index.js';
import { eventually } from '../../support/eventually.js';
import { temporaryFolder } from '../../support/servers/index.js';

export const ROOT = join(fileURLToPath(import.meta.url), '../../../..');
export const SMALL = join(ROOT, 'test/integration/mcp/servers/stdio-server.mjs');
const DEADLINE_MS = 30_000;

// What a test provokes would fill its report.
Logger.overrideLogger(['error', 'fatal']);

/** A machine on which no sandbox can be had. */
const refusing = {
  start: () => Promise.reject(new SandboxRefusedError('The sandbox cannot be enforced here.')),
} as unknown as Sandbox;

/** Connections without a database: pins and eras are kept in memory, as the table would keep them. */
export class Setup {
  readonly folder = temporaryFolder();
  readonly registry = new ToolRegistry();
  readonly pins = new Map<string, Map<string, string>>();
  readonly eras: unknown[] = [];
  readonly workspace = join(this.folder.path, 'workspace');
  private readonly transports: TransportFactory;
  private readonly connections: ServerConnection[] = [];

  constructor(env: Record<string, string> = {}, sandbox: (config: AppConfig) => Sandbox = () => refusing) {
    mkdirSync(this.workspace);
    const config = AppConfig.from({
      NOVA_DATA_DIR: join(this.folder.path, 'data'),
      NOVA_WORKSPACE: this.workspace,
      MCP_ALLOW_PRIVATE_NETWORKS: 'true',
      ...env,
    });
    this.transports = new TransportFactory(config, sandbox(config));
  }

  server(fields: Partial<McpServer> = {}, options: object = {}): McpServer {
    return {
      id: fields.name ?? 'small',
      name: 'small',
      description: '',
      transport: 'stdio',
      command: fields.transport && fields.transport !== 'stdio' ? null : process.execPath,
      args: [SMALL, JSON.stringify(options)],
      env: {},
      publicEnv: [],
      url: null,
      headers: {},
      enabled: true,
      sandbox: 'none',
      metadata: {},
      revision: 1,
      era: null,
      createdAt: new Date(),
      updatedAt: new Date(),
      ...fields,
    };
  }

  /** A connection whose first attempt has settled. */
  async connect(server: McpServer): Promise<ServerConnection> {
    const connection = new ServerConnection(server, {
      clock: new Clock(),
      transports: this.transports,
      pin: async ({ id, revision }, hashes) => {
        const key = `${id} ${revision}`;
        const pins = this.pins.get(key) ?? new Map<string, string>();
        for (const [name, hash] of hashes) if (!pins.has(name)) pins.set(name, hash);
        this.pins.set(key, pins);
        return pins;
      },
      keepEra: async (_server, era) => void this.eras.push(era),
    });
    this.connections.push(connection);
    this.registry.registerGroup(connection);
    connection.start();
    await connection.settled(DEADLINE_MS);
    return connection;
  }

  /** Calls a tool as a model does. */
  call(tool: string, args: object = {}, signal = new AbortController().signal): Promise<ToolResult> {
    return this.registry.execute(tool, JSON.stringify(args), null, {
      root: this.folder.path,
      tier: 'workspace',
      network: false,
      owner: 'admin',
      work: { kind: 'task', id: 'task' },
      signal,
    });
  }

  /** Waits until that many calls of "never" and "late" are with the small server: arguments are checked before, in another thread. */
  begun(calls: number): Promise<true> {
    const said = async (): Promise<boolean> => (await this.call('mcp__small__begun')).text.includes(`begun: ${calls}`);
    return eventually(`${calls} calls have begun`, said);
  }

  async end(): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.stop()));
    this.folder.remove();
  }
}
