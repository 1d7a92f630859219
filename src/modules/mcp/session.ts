import { Client, type PriorDiscovery, type Progress, ProtocolError } from '@modelcontextprotocol/client';
import { z } from 'zod';
import { ServerEndedError } from './failure-reason.js';
import type { McpEra } from './mcp-server.js';
import type { CallAnswer } from './tools/result-text.js';
import type { ToolDefinition } from './tools/tool-definition.js';
import type { ServerTransport } from './transports/server-transport.js';

/** Silence of a server on standard streams after which it is taken for one that does not know the first question. */
const PROBE_MS = 8_000;
const LIST_TIMEOUT_MS = 30_000;
const MAX_TOOLS = 512;
const MAX_PAGES = 64;
const CHECK_MS = 5_000;
/** A call ends with its signal, which knows its time; a limit of the client's own would cancel it a second time. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** A server may have been upgraded since it was found to speak an old protocol. */
const ERA_LASTS_MS = 7 * 24 * 3_600_000;

/** Of all definitions of one server. A definition may have 4 MiB by itself, and costs a multiple of that to work on. */
const MAX_LIST_BYTES = 4 * 1024 * 1024;

const page = z.object({ tools: z.array(z.unknown()).default([]), nextCursor: z.string().optional() });

export interface McpSessionOptions {
  /** How the server was spoken to last; undefined asks it. */
  prior: PriorDiscovery | undefined;
  timeoutMs: number;
  signal: AbortSignal;
  onToolsChanged: () => void;
}

/**
 * One connection to a server, from its handshake to its end. It offers the server nothing: no sampling, no elicitation, no
 * roots.
 */
export class Session {
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  private alive = true;
  private bySilence = false;

  private constructor(
    private readonly client: Client,
    private readonly transport: ServerTransport,
  ) {
    this.closed = new Promise((resolve) => {
      client.onclose = () => {
        this.alive = false;
        resolve();
      };
    });
  }

  /** @throws when the server cannot be reached, does not answer in time, or speaks no protocol that is known. */
  static async open(transport: ServerTransport, options: McpSessionOptions): Promise<Session> {
    const { signal, timeoutMs } = options;
    const client = new Client(
      { name: 'nova-orchestrator', version: '1.0.0' },
      {
        versionNegotiation: { mode: 'auto', probe: { timeoutMs: PROBE_MS } },
        listChanged: { tools: { autoRefresh: false, debounceMs: 250, onChanged: () => options.onToolsChanged() } },
      },
    );
    const session = new Session(client, transport);
    const stop = (): void => void transport.close().catch(() => undefined);
    signal.addEventListener('abort', stop, { once: true });
    const asked = performance.now();
    try {
      signal.throwIfAborted();
      await client.connect(transport, { timeout: timeoutMs, signal, ...(options.prior && { prior: options.prior }) });
      signal.throwIfAborted();
      // Timers may be a little early. Who was only slow is asked again, which harms nobody.
      session.bySilence = options.prior === undefined && performance.now() - asked > PROBE_MS - 10;
      // Everything else it reports is followed by an error of the call it belongs to, or by the end of the connection.
      client.onerror = () => undefined;
      return session;
    } catch (error) {
      await transport.close().catch(() => undefined);
      const { farewell } = transport;
      throw farewell === '' || signal.aborted ? error : new ServerEndedError(farewell, { cause: error });
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  get open(): boolean {
    return this.alive;
  }

  get era(): PriorDiscovery {
    const discover = this.client.getDiscoverResult();
    return discover === undefined ? { kind: 'legacy' } : { kind: 'modern', discover };
  }

  /** What may be kept of `era`; null where a server was found to be old by its silence, which may pass. */
  get lastingEra(): PriorDiscovery | null {
    return this.bySilence && this.era.kind === 'legacy' ? null : this.era;
  }

  get protocolVersion(): string {
    return this.client.getNegotiatedProtocolVersion() ?? 'unknown';
  }

  /** The tools that the server lists, as it lists them: the first 512 and 4 MiB of them, and `more` where there are others. */
  async listTools(signal: AbortSignal): Promise<{ tools: unknown[]; more: boolean }> {
    const tools: unknown[] = [];
    if (this.client.getServerCapabilities()?.tools === undefined) return { tools, more: false };
    let bytes = 0;
    let cursor: string | undefined;
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const { tools: listed, nextCursor } = await this.client.request(
        { method: 'tools/list', params: cursor === undefined ? {} : { cursor } },
        page,
        { timeout: LIST_TIMEOUT_MS, signal },
      );
      for (const tool of listed) {
        bytes += bytesOf(tool);
        if (tools.length === MAX_TOOLS || bytes > MAX_LIST_BYTES) return { tools, more: true };
        tools.push(tool);
      }
      if (nextCursor === undefined || nextCursor === '' || nextCursor === cursor) return { tools, more: false };
      cursor = nextCursor;
    }
    return { tools, more: true };
  }

  /**
   * Calls a tool; cancelled in the server, too, when `signal` aborts.
   * @throws ProtocolError when the server refuses; other errors when the answer did not come.
   */
  async call(
    tool: ToolDefinition,
    args: Record<string, unknown>,
    signal: AbortSignal,
    onprogress: (progress: Progress) => void,
  ): Promise<CallAnswer> {
    return this.client.callTool(
      { name: tool.name, arguments: args },
      {
        signal,
        timeout: LONGEST_TIMER_MS,
        onprogress,
        // Without an output schema: what a server's own schema says of its answer is of no use to a model.
        toolDefinition: { name: tool.name, inputSchema: tool.inputSchema as { type: 'object' } },
      },
    );
  }

  /** Why the connection ended; empty while it stands, and where that is not known. */
  farewell(): string {
    return this.transport.farewell;
  }

  /** Whether the server still answers. */
  async check(): Promise<boolean> {
    const options = { timeout: CHECK_MS };
    try {
      await (this.era.kind === 'modern' ? this.client.discover(options) : this.client.ping(options));
      return true;
    } catch (error) {
      return error instanceof ProtocolError;
    }
  }

  async close(): Promise<void> {
    this.alive = false;
    await this.client.close().catch(() => undefined);
    await this.transport.close().catch(() => undefined);
  }
}

/** Of a definition; of one that is nested too deeply to be told, none, since it cannot be offered either. */
function bytesOf(tool: unknown): number {
  try {
    return Buffer.byteLength(JSON.stringify(tool));
  } catch {
    return 0;
  }
}

/** What need not be asked of a server that was found to be of `era`; undefined asks. */
export function priorOf(era: McpEra | null, now: Date): PriorDiscovery | undefined {
  if (era === null) return undefined;
  if (era.kind === 'modern') return { kind: 'modern', discover: era.discover as never };
  return now.getTime() - Date.parse(era.at) < ERA_LASTS_MS ? { kind: 'legacy' } : undefined;
}
