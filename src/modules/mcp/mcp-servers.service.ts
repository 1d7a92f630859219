import { Injectable } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import { Database } from '../../platform/database/index.js';
import { DomainError, type FieldFault } from '../../platform/errors/index.js';
import { McpConnections } from './mcp-connections.js';
import {
  connectionChanged,
  type McpServer,
  type McpServerSettings,
  type McpServerState,
  type McpToolState,
  type McpToolView,
  type ToolPin,
} from './mcp-server.js';
import { McpServersRepository } from './mcp-servers.repository.js';
import { unmasked } from './secrets.js';

/** Longest wait of a request for a connection; the attempt goes on without it. */
const WAIT_MS = 10_000;
const MOST_SERVERS = 100;

export interface ServerWithState {
  readonly server: McpServer;
  readonly state: McpServerState;
}

export interface ServerAfterChange extends ServerWithState {
  /** What was pinned since the connection is another one; null where it is the same. */
  readonly pinned: { name: string; hash: string }[] | null;
}

/** Reads and edits MCP servers; every edit is followed by this process before it is answered. */
@Injectable()
export class McpServersService {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
    private readonly servers: McpServersRepository,
    private readonly connections: McpConnections,
  ) {}

  async list(page: { limit: number; offset: number; afterName: string | null }): Promise<ServerWithState[]> {
    const servers = await this.servers.list(page.limit, page.offset, page.afterName);
    return servers.map((server) => this.withState(server));
  }

  /** @throws DomainError name_taken, conflict (there are too many), validation_failed. */
  async create(settings: McpServerSettings): Promise<ServerWithState> {
    check(settings);
    const given = { ...settings, ...unmasked(settings, { env: {}, headers: {}, args: [], url: null }) };
    if ((await this.servers.count()) >= MOST_SERVERS) {
      throw new DomainError('conflict', `There may be at most ${MOST_SERVERS} MCP servers.`);
    }
    const server = await this.servers.insert(this.clock.newId(), given);
    await this.connections.apply(server, WAIT_MS);
    return this.withState(server);
  }

  /** Changes what `patch` holds and nothing else. @throws DomainError not_found, name_taken, validation_failed. */
  async update(id: string, patch: Partial<McpServerSettings>): Promise<ServerAfterChange> {
    const { server, isAnother } = await this.db.transaction('mcp.edit', async () => {
      const before = await this.servers.lockForEdit(id);
      if (before === null) throw DomainError.notFound('MCP server', id);
      const given = Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined));
      const patched: McpServer = { ...before, ...given };
      const after = { ...patched, ...unmasked(patched, before) };
      check(after);
      const isAnother = connectionChanged(before, { ...after, publicEnv: before.publicEnv });
      // Whoever points a name at another server has looked at that one.
      if (isAnother) await this.servers.forgetPins(id);
      return { server: await this.servers.update(id, after, connectionChanged(before, after)), isAnother };
    });
    await this.connections.apply(server, WAIT_MS);
    const pinned = isAnother ? [...(await this.servers.pins(id))].map(([name, { hash }]) => ({ name, hash })) : null;
    return { ...this.withState(server), pinned };
  }

  /** @throws DomainError not_found. */
  async delete(id: string): Promise<void> {
    if (!(await this.servers.delete(id))) throw DomainError.notFound('MCP server', id);
    await this.connections.remove(id);
  }

  /**
   * Connects anew; the old connection serves until the new one is ready. Accepts the changed tools in `accepted`, by name, when
   * all of them are then as their hashes say, and no others.
   * @throws DomainError not_found, definition_moved, conflict (it is not connected, or was changed meanwhile).
   */
  async reload(id: string, accepted: ReadonlyMap<string, string> = new Map()): Promise<ServerWithState> {
    if (accepted.size > 0) return this.withState(await this.connections.accept(await this.get(id), accepted, WAIT_MS));
    const server = await this.servers.renew(id);
    if (server === null) throw DomainError.notFound('MCP server', id);
    await this.connections.apply(server, WAIT_MS);
    return this.withState(server);
  }

  /** The tools of a server, as they are pinned and as they are offered here now. @throws DomainError not_found. */
  async tools(id: string): Promise<McpToolView[]> {
    await this.get(id);
    const pins = await this.servers.pins(id);
    const present = this.connections.definitionsOf(id);
    const names = [...new Set([...pins.keys(), ...(present?.keys() ?? [])])].toSorted((a, b) => (a < b ? -1 : 1));
    return names.map((name) => {
      const [pinned, offered] = [pins.get(name) ?? null, present?.get(name) ?? null];
      return { name, state: stateOf(pinned, offered, present !== null), pinned, present: offered };
    });
  }

  private async get(id: string): Promise<McpServer> {
    const server = await this.servers.find(id);
    if (server === null) throw DomainError.notFound('MCP server', id);
    return server;
  }

  private withState(server: McpServer): ServerWithState {
    return { server, state: this.connections.stateOf(server) };
  }
}

function stateOf(pinned: ToolPin | null, present: ToolPin | null, connected: boolean): McpToolState {
  if (!connected) return 'unknown';
  if (present === null) return 'absent';
  if (pinned === null) return 'unpinned';
  return pinned.hash === present.hash ? 'active' : 'changed';
}

/** @throws DomainError validation_failed when the fields do not go together. */
function check(server: McpServerSettings): void {
  const faults: FieldFault[] = [];
  const refuse = (field: string, detail: string): void => void faults.push({ pointer: `#/${field}`, detail });
  if (server.transport === 'stdio') {
    if (server.command === null) refuse('command', 'A stdio server needs a command.');
    if (server.url !== null) refuse('url', 'A stdio server has no url.');
    if (Object.keys(server.headers).length > 0) refuse('headers', 'A stdio server has no headers.');
  } else {
    if (server.url === null) refuse('url', `A server of the transport ${server.transport} needs a url.`);
    if (server.command !== null) refuse('command', 'Only a stdio server has a command.');
    if (server.args.length > 0) refuse('args', 'Only a stdio server has args.');
    if (Object.keys(server.env).length > 0) refuse('env', 'Only a stdio server has env.');
    if (server.publicEnv.length > 0) refuse('public_env', 'Only a stdio server has env.');
    if (server.sandbox !== 'none') refuse('sandbox', 'Only a stdio server runs in a sandbox.');
  }
  if (server.url !== null) {
    const fault = urlFault(server.url);
    if (fault !== null) refuse('url', fault);
  }
  if (faults.length > 0) {
    throw new DomainError('validation_failed', faults.map(({ detail }) => detail).join(' '), { errors: faults });
  }
}

/** What is wrong with the URL as it is written; where it leads is looked at when it is connected to. */
function urlFault(text: string): string | null {
  if (!URL.canParse(text)) return 'This is not a URL.';
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'A url begins with http:// or https://.';
  if (url.username !== '' || url.password !== '') return 'A url may not hold credentials; use headers.';
  return url.hash === '' ? null : 'A url of a server has no fragment.';
}
