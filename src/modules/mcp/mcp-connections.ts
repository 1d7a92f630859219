import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import { KeyedQueue } from '../../platform/concurrency/index.js';
import { DomainError } from '../../platform/errors/index.js';
import { Scrubber } from '../../platform/logging/index.js';
import { EventBus } from '../../platform/redis/index.js';
import { Periodic } from '../../platform/schedule/index.js';
import { StartStep } from '../../platform/startup/index.js';
import { ToolRegistry } from '../tools/index.js';
import { connectionChanged, type McpServer, type McpServerState, type ToolPin } from './mcp-server.js';
import { McpServersRepository } from './mcp-servers.repository.js';
import { secretValues } from './secrets.js';
import { ServerConnection, type ConnectionPorts } from './server-connection.js';
import { TransportFactory } from './transports/transport-factory.js';

const CHANNEL = 'mcp:servers';
/** How long a change by another process may go unnoticed when no message of it arrives. */
const SYNC_MS = 5_000;
/** How often servers on the network are looked at. */
const VERIFY_MS = 15_000;
/** Longest wait for a reload that another process asked for, which other work on that server waits for. */
const RELOAD_MS = 10_000;

interface Kept {
  readonly connection: ServerConnection;
  readonly unregister: () => void;
}

/**
 * The connections of this process: one for each enabled server in the table, whoever edited it. Work on one server never
 * waits for another one, and reads its row when its turn has come: what is done last is what the row said last.
 */
@Injectable()
export class McpConnections implements OnApplicationShutdown {
  private readonly logger = new Logger('Mcp');
  private readonly kept = new Map<string, Kept>();
  /** Work on one server runs in the order it was asked for. */
  private readonly turns = new KeyedQueue();
  private readonly ports: ConnectionPorts;
  private unsubscribe: (() => void) | null = null;
  private stopped = false;

  constructor(
    private readonly servers: McpServersRepository,
    private readonly registry: ToolRegistry,
    private readonly bus: EventBus,
    private readonly scrubber: Scrubber,
    private readonly clock: Clock,
    transports: TransportFactory,
  ) {
    this.ports = {
      clock,
      transports,
      pin: (server, hashes, definitions) => servers.pin(server.id, server.revision, hashes, definitions),
      keepEra: (server, era) => servers.keepEra(server.id, server.revision, era),
    };
  }

  /** Begins to connect every enabled server and to follow the table; returns when that was begun. */
  @StartStep('mcp')
  async start(): Promise<void> {
    await this.servers.sealAll();
    await this.sync();
    if (this.unsubscribe !== null || this.stopped) return;
    const follow = (): void => void this.trySync();
    this.unsubscribe = this.bus.subscribe(CHANNEL, follow, follow);
  }

  /** Catches up with the table, for changes of which no message arrived. */
  @Periodic('mcp-sync', () => SYNC_MS)
  async catchUp(): Promise<void> {
    if (this.unsubscribe !== null) await this.sync();
  }

  /** Looks at the servers, so that one that went away is noticed before it is needed. */
  @Periodic('mcp-verify', () => VERIFY_MS)
  async verify(): Promise<void> {
    for (const { connection } of this.kept.values()) void connection.verify();
  }

  /** What `server` is like here. */
  stateOf(server: McpServer): McpServerState {
    const found = this.kept.get(server.id)?.connection.state();
    if (found !== undefined) return found;
    const status = server.enabled ? 'connecting' : 'disabled';
    return { status, lastError: null, toolCount: 0, activeTools: [], connectedAt: null };
  }

  /** How many servers this process keeps a connection for, and how many of those are connected. */
  count(): { servers: number; connected: number } {
    const states = [...this.kept.values()].map(({ connection }) => connection.state().status);
    return { servers: states.length, connected: states.filter((status) => status === 'connected').length };
  }

  /** Makes this process and, at once, the others follow a server that was written; waits for its attempt at most `ms`. */
  async apply(server: McpServer, ms: number): Promise<void> {
    void this.bus.publish(CHANNEL, {});
    if (!server.enabled) this.cut(server.id);
    const attempt = this.inTurn(server.id, () => this.follow(server.id, ms)).then(() =>
      this.kept.get(server.id)?.connection.settled(ms),
    );
    const late = new AbortController();
    await Promise.race([attempt, this.clock.sleep(ms, late.signal)]);
    late.abort();
  }

  /** The definitions that `id` offers here now, by name; null while it is not connected. */
  definitionsOf(id: string): ReadonlyMap<string, ToolPin> | null {
    return this.kept.get(id)?.connection.definitions() ?? null;
  }

  /**
   * Connects `server` anew for at most `ms` and pins those of its tools that `accepted` names, when each of them is then
   * still defined as its hash there says; otherwise none.
   * @throws DomainError conflict, definition_moved.
   */
  async accept(server: McpServer, accepted: ReadonlyMap<string, string>, ms: number): Promise<McpServer> {
    let outcome: McpServer | Error = new DomainError(
      'conflict',
      'The server is not connected, so nothing can be accepted.',
    );
    await this.inTurn(server.id, async () => {
      await this.follow(server.id, ms);
      const connection = this.kept.get(server.id)?.connection;
      if (connection === undefined) return;
      await connection.reload(connection.settings, ms);
      const present = connection.definitions();
      if (present === null) return;
      const moved = [...accepted].filter(([name, hash]) => present.get(name)?.hash !== hash).map(([name]) => name);
      if (moved.length > 0) {
        const names = moved.slice(0, 10).join(', ');
        outcome = new DomainError('definition_moved', `Not defined as given, so nothing was accepted: ${names}.`);
        return;
      }
      const pins = new Map([...accepted.keys()].flatMap((name) => [[name, present.get(name)]]) as [string, ToolPin][]);
      const after = await this.servers.accept(server.id, connection.settings.revision, pins);
      if (after === null) {
        outcome = new DomainError('conflict', 'The server was changed meanwhile; nothing was accepted.');
        return;
      }
      outcome = after;
      void this.bus.publish(CHANNEL, {});
      await connection.repin(after);
    });
    if (outcome instanceof Error) throw outcome;
    return outcome;
  }

  /** Ends the connection of a server that is gone, and its tools and processes with it. */
  async remove(id: string): Promise<void> {
    void this.bus.publish(CHANNEL, {});
    this.cut(id);
    await this.inTurn(id, () => this.drop(id));
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
    // What is made while the table is read is not missing from it.
    const before = [...this.kept.keys()];
    const enabled = new Map((await this.servers.enabled()).map(({ id, revision }) => [id, revision]));
    for (const [id, revision] of enabled) {
      if (this.kept.get(id)?.connection.settings.revision !== revision) this.followSoon(id);
    }
    for (const id of before) {
      if (enabled.has(id)) continue;
      this.cut(id);
      this.followSoon(id);
    }
  }

  private followSoon(id: string): void {
    void this.inTurn(id, () => this.follow(id, RELOAD_MS));
  }

  private async follow(id: string, ms: number): Promise<void> {
    const server = await this.servers.find(id);
    if (this.stopped) return;
    if (server === null || !server.enabled) return this.drop(id);
    const connection = this.kept.get(id)?.connection;
    if (connection === undefined || connection.stopped || connectionChanged(connection.settings, server)) {
      await this.drop(id);
      return this.begin(server);
    }
    if (connection.settings.revision !== server.revision) await connection.reload(server, ms);
  }

  /** Ends a connection whose turn might otherwise wait; what the row says when the turn has come is what holds. */
  private cut(id: string): void {
    void this.kept.get(id)?.connection.stop();
  }

  private begin(server: McpServer): void {
    this.scrubber.remember(secretValues(server));
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
    return this.turns.take(id, work).catch((error: unknown) => {
      this.logger.error({ message: 'Work on an MCP server failed', error });
    });
  }
}
