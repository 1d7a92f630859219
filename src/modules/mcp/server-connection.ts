import { Logger } from '@nestjs/common';
import { ProtocolError, type PriorDiscovery, type Progress } from '@modelcontextprotocol/client';
import type { Clock } from '../../platform/clock/index.js';
import { hideShapes, SecretCover } from '../../platform/logging/index.js';
import type { ToolResult, ToolSource } from '../tools/index.js';
import { failureReason, ServerEnded } from './failure-reason.js';
import type { McpEra, McpServer, McpServerState } from './mcp-server.js';
import { secretValues } from './secrets.js';
import { Session } from './session.js';
import { McpTool } from './tools/mcp-tool.js';
import { resultText } from './tools/result-text.js';
import { defineTool, visibleText, type ToolDefinition } from './tools/tool-definition.js';
import type { Line, TransportFactory } from './transports/transport-factory.js';

/** Longest time from nothing to a list of tools; a program may have to be downloaded first. */
const ATTEMPT_MS = { stdio: 60_000, http: 15_000, sse: 15_000 };
const BACKOFF_MS = { first: 1_000, most: 60_000 };
/** A connection that lasted so long begins again with the shortest pause. */
const SETTLED_MS = 60_000;
/** A server may have been upgraded since it was found to speak an old protocol. */
const ERA_LASTS_MS = 7 * 24 * 3_600_000;
/** Of a server's standard error, into the log. */
const LOG_LINES_A_MINUTE = 200;
/** Between two lists of tools that a server asks for. */
const REFRESH_MS = 1_000;

export interface ConnectionPorts {
  readonly clock: Clock;
  readonly transports: TransportFactory;
  /** Pins tools that were never seen; tells the hashes that hold. */
  pin(server: McpServer, hashes: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, string>>;
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
  private readonly cover: SecretCover;
  private session: Session | null = null;
  private offered: readonly McpTool[] = [];
  private listed = 0;
  private notes: readonly string[] = [];
  private failure: string | null = null;
  private status: 'connecting' | 'connected' | 'failed' = 'connecting';
  private connectedAt: Date | null = null;
  /** Aborted to cut the present attempt or pause short. */
  private hurry = new AbortController();
  private readonly waiting = new Set<() => void>();
  private refreshing = false;
  private refreshWanted = false;
  private logWindow = { since: 0, lines: 0 };
  private running: Promise<void> | null = null;

  constructor(
    private server: McpServer,
    private readonly ports: ConnectionPorts,
  ) {
    this.group = `mcp:${server.name}`;
    this.cover = new SecretCover(secretValues(server));
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

  /** Begins; returns at once. */
  start(): void {
    this.running ??= this.run();
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
      this.notes = [`The reload failed, so the connection before it goes on: ${this.reason(error)}.`];
    }
  }

  /** Looks whether a server that is reached over the network is still there; connects anew when it is not. */
  async verify(): Promise<void> {
    const { session } = this;
    if (session === null || this.server.transport === 'stdio') return;
    if (!(await session.check())) await session.close();
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
        if (!this.hurry.signal.aborted) this.fail(this.reason(error));
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
      if (!this.ending.signal.aborted) this.fail(this.clean(`the connection was lost${why === '' ? '' : ` (${why})`}`));
      await session.close();
    }
  }

  private async connect(signal: AbortSignal): Promise<Session> {
    const prior = freshPrior(this.server.era, this.ports.clock.now());
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
        this.ports.transports.create(this.server, (line) => this.logLine(line)),
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
      if (signal.aborted || prior !== undefined || !(error instanceof ServerEnded)) throw error;
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
    const { era } = session;
    const known = this.server.era;
    if (known?.kind === era.kind && era.kind === 'legacy') return;
    const kept = { ...era, at: this.ports.clock.now().toISOString() } as McpEra;
    this.server = { ...this.server, era: kept };
    await this.ports.keepEra(this.server, kept).catch(() => undefined);
  }

  private async list(session: Session, signal: AbortSignal): Promise<ListedTools> {
    const { tools: raw, more } = await session.listTools(signal);
    const notes: string[] = more ? [`Left out: all tools after the first ${raw.length}.`] : [];
    const definitions = new Map<string, ToolDefinition>();
    for (const one of raw) {
      const tool = defineTool(one, (text) => this.cover.hide(text));
      if ('fault' in tool) notes.push(`Left out: ${this.clean(tool.fault)}.`);
      else if (definitions.has(tool.name)) notes.push(`Left out: a second tool named ${tool.name}.`);
      else definitions.set(tool.name, tool);
    }
    const hashes = new Map([...definitions.values()].map((tool) => [tool.name, tool.hash]));
    const pins = hashes.size === 0 ? new Map() : await this.ports.pin(this.server, hashes);
    const active = [...definitions.values()].filter((tool) => pins.get(tool.name) === tool.hash);
    for (const { name, hash } of definitions.values()) {
      if (pins.get(name) === hash) continue;
      notes.push(`The tool ${name} is not what it was when it was first seen, and is quarantined until a reload.`);
    }
    return { listed: raw.length, active, notes };
  }

  private take({ listed, active, notes }: ListedTools): void {
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
      while (this.refreshWanted && !this.ending.signal.aborted) {
        this.refreshWanted = false;
        const { session } = this;
        if (session === null) return;
        const tools = await this.list(session, this.ending.signal);
        if (this.session === session) this.take(tools);
        await this.ports.clock.sleep(REFRESH_MS, this.ending.signal);
      }
    } catch (error) {
      this.logger.warn(`The tools of the MCP server ${this.server.name} were not listed again: ${this.reason(error)}`);
    } finally {
      this.refreshing = false;
    }
  }

  private async call(tool: ToolDefinition, args: Record<string, unknown>, signal: AbortSignal): Promise<ToolResult> {
    const { session } = this;
    const server = `The MCP server "${this.server.name}"`;
    if (session === null || !session.open) {
      return failed(`${server} is not connected${this.failure === null ? '' : `: ${this.failure}`}.`);
    }
    let progress: Progress | null = null;
    try {
      const answer = await session.call(tool, args, signal, (step) => (progress = step));
      return { text: this.cover.hide(resultText(answer)), ...(answer.isError ? { isError: true } : {}) };
    } catch (error) {
      if (signal.aborted) return failed(`${server} did not finish the call.${this.lastProgress(progress)}`);
      if (ProtocolError.isInstance(error)) return failed(`${server} refused the call: ${this.clean(error.message)}.`);
      if (!session.open) {
        const why = session.farewell();
        const ended = this.clean(`${server} ended while it worked on the call${why === '' ? '' : ` (${why})`}.`);
        return failed(ended + this.lastProgress(progress));
      }
      void this.verify();
      return failed(`${server} did not give an answer: ${this.reason(error)}.${this.lastProgress(progress)}`);
    }
  }

  private lastProgress(progress: Progress | null): string {
    if (progress === null) return '';
    const total = progress.total === undefined ? '' : ` of ${progress.total}`;
    const message = progress.message === undefined ? '' : ` (${visibleText(this.cover.hide(progress.message), 500)})`;
    return ` It last reported the progress ${progress.progress}${total}${message}.`;
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

  private reason(error: unknown): string {
    const deadline = error instanceof Error && error.name === 'TimeoutError';
    return this.clean(deadline ? 'it did not answer in time' : failureReason(error));
  }

  private clean(text: string): string {
    return visibleText(hideShapes(this.cover.hide(text)));
  }

  private logLine(line: Line): void {
    const now = this.ports.clock.monotonicMs();
    if (now - this.logWindow.since > 60_000) this.logWindow = { since: now, lines: 0 };
    this.logWindow.lines += 1;
    if (this.logWindow.lines > LOG_LINES_A_MINUTE + 1) return;
    const message =
      this.logWindow.lines > LOG_LINES_A_MINUTE
        ? '(more than the log takes in a minute)'
        : visibleText(this.cover.hide(line));
    this.logger.log({ message, mcp_server: this.server.name });
  }
}

interface ListedTools {
  listed: number;
  active: ToolDefinition[];
  notes: string[];
}

function freshPrior(era: McpEra | null, now: Date): PriorDiscovery | undefined {
  if (era === null) return undefined;
  if (era.kind === 'modern') return { kind: 'modern', discover: era.discover as never };
  return now.getTime() - Date.parse(era.at) < ERA_LASTS_MS ? { kind: 'legacy' } : undefined;
}

function failed(text: string): ToolResult {
  return { text, isError: true };
}
