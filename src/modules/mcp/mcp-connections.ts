import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Clock, PeriodicJobs } from '../../platform/clock/index.js';
import { HealthIndicators, type IndicatorReport } from '../../platform/health/index.js';
import { Scrubber } from '../../platform/logging/index.js';
import { EventBus } from '../../platform/redis/index.js';
import { ToolRegistry } from '../tools/index.js';
import { connectionChanged, type McpServer, type McpServerState } from './mcp-server.js';
import { McpServersRepository } from './mcp-servers.repository.js';
import { secretValues } from './secrets.js';
import { ServerConnection, type ConnectionPorts } from './server-connection.js';
import { TransportFactory } from './transports/transport-factory.js';

const CHANNEL = 'mcp:servers';
/** How long another process's change may go unnoticed without Redis, and how often servers on the network are looked at. */
const SYNC_MS = 15_000;

interface Kept {
  readonly connection: ServerConnection;
  readonly unregister: () => void;
}

/**
 * The connections of this process: one for each enabled server in the table, whoever edited it. Work on one server never
 * waits for another one.
 */
@Injectable()
export class McpConnections implements OnApplicationShutdown {
  private readonly logger = new Logger('Mcp');
  private readonly kept = new Map<string, Kept>();
  /** The last piece of work on each server, which the next one waits for. */
  private readonly turns = new Map<string, Promise<unknown>>();
  private readonly ports: ConnectionPorts;
  private unsubscribe: (() => void) | null = null;
  private stopped = false;

  constructor(
    private readonly servers: McpServersRepository,
    private readonly registry: ToolRegistry,
    private readonly bus: EventBus,
    private readonly jobs: PeriodicJobs,
    private readonly scrubber: Scrubber,
    transports: TransportFactory,
    clock: Clock,
    indicators: HealthIndicators,
  ) {
    this.ports = {
      clock,
      transports,
      pin: (server, hashes) => servers.pin(server.id, server.revision, hashes),
      keepEra: (server, era) => servers.keepEra(server.id, server.revision, era),
    };
    indicators.register({ name: 'mcp', decides: false, report: () => this.report() });
  }

  /** Begins to connect every enabled server and to follow the table; returns when that was begun. */
  async start(): Promise<void> {
    await this.sync();
    if (this.unsubscribe !== null || this.stopped) return;
    this.unsubscribe = this.bus.subscribe(CHANNEL, () => void this.trySync());
    this.jobs.every('mcp.sync', SYNC_MS, async () => {
      await this.sync();
      for (const { connection } of this.kept.values()) void connection.verify();
    });
  }

  /** What `server` is like here. */
  stateOf(server: McpServer): McpServerState {
    const found = this.kept.get(server.id)?.connection.state();
    if (found !== undefined) return found;
    const status = server.enabled ? 'connecting' : 'disabled';
    return { status, lastError: null, toolCount: 0, activeTools: [], connectedAt: null };
  }

  /** Makes this process and, soon, the others follow a server that was written; waits for its attempt at most `ms`. */
  async apply(server: McpServer, ms: number): Promise<void> {
    await this.inTurn(server.id, () => this.follow(server, ms));
    await this.kept.get(server.id)?.connection.settled(ms);
    void this.bus.publish(CHANNEL, {});
  }

  /** Ends the connection of a server that is gone, and its tools and processes with it. */
  async remove(id: string): Promise<void> {
    await this.inTurn(id, () => this.drop(id));
    void this.bus.publish(CHANNEL, {});
  }

  async onApplicationShutdown(): Promise<void> {
    this.stopped = true;
    this.unsubscribe?.();
    await Promise.all([...this.kept.keys()].map((id) => this.inTurn(id, () => this.drop(id))));
  }

  private async trySync(): Promise<void> {
    await this.sync().catch((error: unknown) =>
      this.logger.warn({ message: 'The MCP servers could not be read', error }),
    );
  }

  private async sync(): Promise<void> {
    const servers = await this.servers.all();
    const ids = new Set(servers.map((server) => server.id));
    for (const server of servers) void this.inTurn(server.id, () => this.follow(server, SYNC_MS));
    for (const id of this.kept.keys()) {
      // It may have been made after the table was read.
      if (!ids.has(id))
        void this.inTurn(id, async () => ((await this.servers.find(id)) === null ? this.drop(id) : undefined));
    }
  }

  private async follow(server: McpServer, ms: number): Promise<void> {
    const kept = this.kept.get(server.id);
    const present = kept?.connection.settings;
    if (this.stopped || (present !== undefined && present.revision > server.revision)) return;
    if (!server.enabled) return this.drop(server.id);
    if (kept === undefined || present === undefined) return this.begin(server);
    if (connectionChanged(present, server)) {
      await this.drop(server.id);
      return this.begin(server);
    }
    if (present.revision < server.revision) await kept.connection.reload(server, ms);
  }

  private begin(server: McpServer): void {
    for (const secret of secretValues(server)) this.scrubber.remember(secret);
    const connection = new ServerConnection(server, this.ports);
    this.kept.set(server.id, { connection, unregister: this.registry.registerGroup(connection) });
    connection.start();
  }

  private async drop(id: string): Promise<void> {
    const kept = this.kept.get(id);
    if (kept === undefined) return;
    this.kept.delete(id);
    kept.unregister();
    await kept.connection.stop();
  }

  private inTurn(id: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.turns.get(id) ?? Promise.resolve()).then(work).catch((error: unknown) => {
      this.logger.error({ message: 'Work on an MCP server failed', error });
    });
    this.turns.set(id, turn);
    void turn.then(() => {
      if (this.turns.get(id) === turn) this.turns.delete(id);
    });
    return turn;
  }

  private report(): IndicatorReport {
    const states = [...this.kept.values()].map(({ connection }) => connection.state().status);
    const missing = states.filter((status) => status !== 'connected').length;
    if (missing === 0) return { status: 'up', servers: states.length };
    return {
      status: 'degraded',
      servers: states.length,
      reason: `${missing} of ${states.length} servers are not connected`,
    };
  }
}
