import { Logger } from '@nestjs/common';
import type { PriorDiscovery } from '@modelcontextprotocol/client';
import type { Clock } from '../../platform/clock/index.js';
import { withoutLogContext } from '../../platform/logging/index.js';
import type { ToolResult, ToolSource } from '../tools/index.js';
import { ServerEndedError } from './failure-reason.js';
import type { McpEra, McpServer, McpServerState, ToolPin } from './mcp-server.js';
import { Redactor } from './redactor.js';
import { priorOf, Session } from './session.js';
import { callTool, failed, FORGOTTEN } from './tools/call-tool.js';
import { listTools, type ListedTools } from './tools/list-tools.js';
import { McpTool } from './tools/mcp-tool.js';
import type { ToolDefinition } from './tools/tool-definition.js';
import type { TransportFactory } from './transports/transport-factory.js';

/** Longest time from nothing to a list of tools; a program may have to be downloaded first. */
const ATTEMPT_MS = { stdio: 60_000, http: 15_000, sse: 15_000 };
const BACKOFF_MS = { first: 1_000, most: 60_000 };
/** A connection that lasted so long begins again with the shortest pause. */
const SETTLED_MS = 60_000;
/** Between two lists of tools that a server asks for; each further one of a row waits twice as long. */
const REFRESH_MS = { first: 1_000, most: 60_000 };

export interface ConnectionPorts {
  readonly clock: Clock;
  readonly transports: TransportFactory;
  /** Pins tools that were never seen; tells the hashes that hold. */
  pin(
    server: McpServer,
    hashes: ReadonlyMap<string, string>,
    definitions: ReadonlyMap<string, Record<string, unknown> | null>,
  ): Promise<ReadonlyMap<string, string>>;
  keepEra(server: McpServer, era: McpEra | null): Promise<void>;
}

/**
 * Keeps one server connected: connects, connects again with growing pauses when the connection is lost, and offers what the
 * server lists. While it is not connected, the tools that were last known stay and say so when they are called.
 */
export class ServerConnection implements ToolSource {
  readonly group: string;
  private readonly logger = new Logger('Mcp');
  private readonly ending = new AbortController();
  private readonly words: Redactor;
  private session: Session | null = null;
  private offered: readonly McpTool[] = [];
  private listed = 0;
  private present: ReadonlyMap<string, ToolPin> = new Map();
  private notes: readonly string[] = [];
  private failure: string | null = null;
  private status: 'connecting' | 'connected' | 'failed' = 'connecting';
  private connectedAt: Date | null = null;
  /** Aborted to cut the present attempt or pause short. */
  private hurry = new AbortController();
  private readonly waiting = new Set<() => void>();
  private renewal: Promise<void> | null = null;
  private refreshing = false;
  private refreshWanted = false;
  private running: Promise<void> | null = null;

  constructor(
    private server: McpServer,
    private readonly ports: ConnectionPorts,
  ) {
    this.group = `mcp:${server.name}`;
    this.words = new Redactor(server, ports.clock);
  }

  get settings(): McpServer {
    return this.server;
  }

  get stopped(): boolean {
    return this.ending.signal.aborted;
  }

  tools(): readonly McpTool[] {
    return this.offered;
  }

  state(): McpServerState {
    const connected = this.status === 'connected';
    return {
      status: this.status,
      lastError: connected ? (this.notes.length > 0 ? this.notes.join(' ').slice(0, 2_000) : null) : this.failure,
      toolCount: connected ? this.listed : 0,
      activeTools: connected ? this.offered.map((tool) => tool.name) : [],
      connectedAt: connected ? this.connectedAt : null,
    };
  }

  /** The definitions that the server offers now, by name, those that are held back too; null while it is not connected. */
  definitions(): ReadonlyMap<string, ToolPin> | null {
    return this.status === 'connected' ? this.present : null;
  }

  /** Looks again at what is pinned of `server`, which has the same connection. */
  async repin(server: McpServer): Promise<void> {
    this.server = server;
    const { session } = this;
    if (session === null) return;
    const tools = await this.list(session, this.ending.signal);
    if (this.session === session) this.take(tools);
  }

  /** Begins; returns at once. */
  start(): void {
    // It outlives the request that asked for it.
    this.running ??= withoutLogContext(() => this.run());
  }

  /** Resolves when the present attempt has come to an end, or after `ms`. */
  async settled(ms: number): Promise<void> {
    if (this.status !== 'connecting') return;
    const late = new AbortController();
    await Promise.race([
      new Promise<void>((resolve) => this.waiting.add(resolve)),
      this.ports.clock.sleep(ms, late.signal),
    ]);
    late.abort();
  }

  /**
   * Connects anew with `server`, which has the same settings; the connection that stands serves until the new one is ready,
   * and goes on when there is none after `ms`.
   */
  async reload(server: McpServer, ms: number): Promise<void> {
    this.server = server;
    if (this.session === null) {
      this.setStatus('connecting', null);
      this.hurry.abort();
      return this.settled(ms);
    }
    const late = AbortSignal.any([this.ending.signal, AbortSignal.timeout(ms)]);
    try {
      await this.adopt(await this.connect(late), late);
    } catch (error) {
      this.notes = [`The reload failed, so the connection before it goes on: ${this.words.reason(error)}.`];
    }
  }

  /** Looks whether a server that is reached over the network is still there; connects anew when it is not. */
  async verify(): Promise<void> {
    const { session } = this;
    if (session === null || this.server.transport === 'stdio') return;
    if (await session.check()) return;
    await this.renew(session).catch(() => session.close());
  }

  /** Ends the connection and everything that was started for it. */
  async stop(): Promise<void> {
    this.ending.abort(new Error('the server was taken away'));
    this.hurry.abort();
    const { session } = this;
    this.session = null;
    await session?.close();
    await this.running;
  }

  private async run(): Promise<void> {
    let pause = BACKOFF_MS.first;
    while (!this.ending.signal.aborted) {
      this.hurry = new AbortController();
      const begun = this.ports.clock.monotonicMs();
      try {
        await this.attempt();
        await this.untilLost();
        pause = this.ports.clock.monotonicMs() - begun > SETTLED_MS ? BACKOFF_MS.first : pause;
      } catch (error) {
        if (this.ending.signal.aborted) break;
        if (!this.hurry.signal.aborted) this.fail(this.words.reason(error));
      }
      if (this.ending.signal.aborted) break;
      if (!this.hurry.signal.aborted)
        await this.ports.clock.sleep(pause * (0.75 + Math.random() / 2), this.hurry.signal);
      pause = this.hurry.signal.aborted ? BACKOFF_MS.first : Math.min(pause * 2, BACKOFF_MS.most);
      if (!this.ending.signal.aborted) this.setStatus('connecting', this.failure);
    }
    this.wakeAll();
  }

  private async attempt(): Promise<void> {
    const deadline = AbortSignal.timeout(ATTEMPT_MS[this.server.transport]);
    const signal = AbortSignal.any([this.ending.signal, this.hurry.signal, deadline]);
    await this.adopt(await this.connect(signal), signal);
  }

  /** Resolves when the connection, or the one that took its place, is lost. */
  private async untilLost(): Promise<void> {
    for (let { session } = this; session !== null; { session } = this) {
      await session.closed;
      if (this.session !== session) continue;
      this.session = null;
      const why = session.farewell();
      if (!this.ending.signal.aborted)
        this.fail(this.words.clean(`the connection was lost${why === '' ? '' : ` (${why})`}`));
      await session.close();
    }
  }

  private async connect(signal: AbortSignal): Promise<Session> {
    const prior = priorOf(this.server.era, this.ports.clock.now());
    if (prior === undefined) return this.connectAs(undefined, signal);
    try {
      return await this.connectAs(prior, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      this.server = { ...this.server, era: null };
      return this.connectAs(undefined, signal);
    }
  }

  private async connectAs(prior: PriorDiscovery | undefined, signal: AbortSignal): Promise<Session> {
    const open = (era: PriorDiscovery | undefined): Promise<Session> =>
      Session.open(
        this.ports.transports.create(this.server, (line) => this.words.log(line)),
        {
          prior: era,
          signal,
          timeoutMs: ATTEMPT_MS[this.server.transport],
          onToolsChanged: () => void this.refresh(),
        },
      );
    try {
      return await open(prior);
    } catch (error) {
      // Some old servers end when they are asked anything before their own handshake.
      if (signal.aborted || prior !== undefined || !(error instanceof ServerEndedError)) throw error;
      return open({ kind: 'legacy' });
    }
  }

  /** Makes `session` the connection, once its tools are known; otherwise nothing of it is left. */
  private async adopt(session: Session, signal: AbortSignal): Promise<void> {
    let tools: ListedTools;
    try {
      tools = await this.list(session, signal);
      signal.throwIfAborted();
    } catch (error) {
      await session.close();
      throw error;
    }
    const before = this.session;
    this.session = session;
    this.take(tools);
    this.connectedAt = this.ports.clock.now();
    this.setStatus('connected', null);
    this.logger.log({
      message: `The MCP server ${this.server.name} is connected`,
      protocol: session.protocolVersion,
      tools: this.offered.length,
    });
    void before?.close();
    await this.rememberEra(session);
  }

  private async rememberEra(session: Session): Promise<void> {
    const era = session.lastingEra;
    const known = this.server.era;
    if (known?.kind === 'legacy' && era?.kind === 'legacy') return;
    const kept = era && ({ ...era, at: this.ports.clock.now().toISOString() } as McpEra);
    this.server = { ...this.server, era: kept };
    await this.ports.keepEra(this.server, kept).catch(() => undefined);
  }

  private list(session: Session, signal: AbortSignal): Promise<ListedTools> {
    return listTools(session, this.words, (...tools) => this.ports.pin(this.server, ...tools), signal);
  }

  private take({ listed, active, present, notes }: ListedTools): void {
    this.present = present;
    const known = new Map(this.offered.map((tool) => [tool.definition.hash, tool]));
    this.offered = active.map(
      (definition) =>
        known.get(definition.hash) ??
        new McpTool(this.server.name, definition, (tool, args, signal) => this.call(tool, args, signal)),
    );
    this.listed = listed;
    if (notes.length > 0 && notes.join() !== this.notes.join()) {
      this.logger.warn({ message: `The MCP server ${this.server.name} offers tools that are held back`, notes });
    }
    this.notes = notes;
  }

  /** Lists the tools again; requests that come meanwhile become one. */
  private async refresh(): Promise<void> {
    this.refreshWanted = true;
    if (this.refreshing) return;
    this.refreshing = true;
    try {
      let pause = REFRESH_MS.first;
      while (this.refreshWanted && !this.ending.signal.aborted) {
        this.refreshWanted = false;
        const { session } = this;
        if (session === null) return;
        const tools = await this.list(session, this.ending.signal);
        if (this.session === session) this.take(tools);
        await this.ports.clock.sleep(pause, this.ending.signal);
        pause = Math.min(pause * 2, REFRESH_MS.most);
      }
    } catch (error) {
      this.logger.warn(
        `The tools of the MCP server ${this.server.name} were not listed again: ${this.words.reason(error)}`,
      );
    } finally {
      this.refreshing = false;
    }
  }

  private async call(tool: ToolDefinition, args: Record<string, unknown>, signal: AbortSignal): Promise<ToolResult> {
    const { session, words } = this;
    const called = `The MCP server "${this.server.name}"`;
    if (session === null || !session.open) {
      return failed(`${called} is not connected${this.failure === null ? '' : `: ${this.failure}`}.`);
    }
    const callee = { called, words, verify: () => void this.verify() };
    const result = await callTool({ ...callee, session }, tool, args, signal);
    if (result !== FORGOTTEN) return result;
    try {
      await this.renew(session);
    } catch (error) {
      return failed(
        `${called} has forgotten its session, so nothing was done, and gave no new one: ${words.reason(error)}.`,
      );
    }
    signal.throwIfAborted();
    const again =
      this.session === null ? FORGOTTEN : await callTool({ ...callee, session: this.session }, tool, args, signal);
    return again === FORGOTTEN
      ? failed(`${called} does not know the session that it has just begun; nothing was done.`)
      : again;
  }

  /** Puts a new session in the place of `lost`, unless somebody has; whoever asks meanwhile waits for the same. */
  private renew(lost: Session): Promise<void> {
    if (this.session !== lost) return this.renewal ?? Promise.resolve();
    this.renewal ??= this.attempt().finally(() => (this.renewal = null));
    return this.renewal;
  }

  private fail(reason: string): void {
    this.setStatus('failed', reason);
    this.logger.warn(`The MCP server ${this.server.name} is not connected: ${reason}`);
  }

  private setStatus(status: 'connecting' | 'connected' | 'failed', failure: string | null): void {
    this.status = status;
    this.failure = failure;
    if (status !== 'connecting') this.wakeAll();
  }

  private wakeAll(): void {
    for (const wake of this.waiting) wake();
    this.waiting.clear();
  }
}
