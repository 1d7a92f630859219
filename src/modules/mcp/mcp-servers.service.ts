import { Injectable } from '@nestjs/common';
import { Clock } from '../../platform/clock/index.js';
import { Database } from '../../platform/database/index.js';
import { DomainError, type FieldFault } from '../../platform/errors/index.js';
import { McpConnections } from './mcp-connections.js';
import { connectionChanged, type McpServer, type McpServerSettings, type McpServerState } from './mcp-server.js';
import { McpServersRepository } from './mcp-servers.repository.js';
import { unmasked } from './secrets.js';

/** Longest wait of a request for a connection; the attempt goes on without it. */
const WAIT_MS = 10_000;
const MOST_SERVERS = 100;

export interface ServerWithState {
  readonly server: McpServer;
  readonly state: McpServerState;
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
  async update(id: string, patch: Partial<McpServerSettings>): Promise<ServerWithState> {
    const server = await this.db.transaction('mcp.edit', async () => {
      const before = await this.servers.lockForEdit(id);
      if (before === null) throw DomainError.notFound('MCP server', id);
      const given = Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined));
      const patched: McpServer = { ...before, ...given };
      const after = { ...patched, ...unmasked(patched, before) };
      check(after);
      const anew = connectionChanged(before, after);
      // Whoever points a name at another server has looked at that one.
      if (anew) await this.servers.forgetPins(id);
      return this.servers.update(id, after, anew);
    });
    await this.connections.apply(server, WAIT_MS);
    return this.withState(server);
  }

  /** @throws DomainError not_found. */
  async delete(id: string): Promise<void> {
    if (!(await this.servers.delete(id))) throw DomainError.notFound('MCP server', id);
    await this.connections.remove(id);
  }

  /**
   * Connects anew and accepts the tools as they are then; the old connection serves until the new one is ready.
   * @throws DomainError not_found.
   */
  async reload(id: string): Promise<ServerWithState> {
    const server = await this.servers.renew(id);
    if (server === null) throw DomainError.notFound('MCP server', id);
    await this.connections.apply(server, WAIT_MS);
    return this.withState(server);
  }

  private withState(server: McpServer): ServerWithState {
    return { server, state: this.connections.stateOf(server) };
  }
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
