import { join } from 'node:path';
import { Injectable, Logger } from '@nestjs/common';
import { SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { AppConfig } from '../../../config/index.js';
import { proxyFor } from '../../../platform/egress/index.js';
import { Sandbox } from '../../tools/index.js';
import type { McpServer } from '../mcp-server.js';
import { readable } from '../secrets.js';
import { checkedFetch, type CheckedFetch } from './checked-fetch.js';
import { startServerProcess, type McpProcess } from './server-process.js';
import { killGroup } from '../../../platform/processes/index.js';
import type { ServerTransport } from './server-transport.js';
import { StdioTransport } from './stdio-transport.js';
import { FLOODED, UnaskedMessages } from './unasked-messages.js';

/** What a server wrote to its standard error. */
export type Line = string;

/** A box that is not ended by a clock. */
const FOR_EVER = 0;

/** Makes the transport that a server's row asks for. Nothing is started or connected before the transport is. */
@Injectable()
export class TransportFactory {
  constructor(
    private readonly config: AppConfig,
    private readonly sandbox: Sandbox,
  ) {
    const { http, https, trusted } = config.proxy;
    if ((http !== null || https !== null) && !trusted) {
      new Logger(TransportFactory.name).warn(
        'MCP servers are reached without the proxy, through which addresses cannot be checked; PROXY_TRUSTED=1 uses it.',
      );
    }
  }

  create(server: McpServer, onStderr: (line: Line) => void): ServerTransport {
    if (server.transport === 'stdio') return new StdioTransport(() => this.launch(server), onStderr);
    const url = new URL(server.url ?? '');
    const unasked = new UnaskedMessages();
    const countUnasked = (bytes: number): boolean => {
      const bearable = unasked.take(bytes);
      if (!bearable) transport.end(FLOODED);
      return bearable;
    };
    const { mcp, proxy } = this.config;
    const checked = checkedFetch(mcp.allowPrivateNetworks, undefined, countUnasked, (address) =>
      proxy.trusted ? proxyFor(address, proxy) : null,
    );
    const options = {
      fetch: checked.fetch,
      redirectPolicy: 'follow',
      requestInit: { headers: readable(server.headers, 'headers') },
    } as const;
    const transport =
      server.transport === 'http'
        ? new HttpTransport(url, options, checked)
        : new LegacySseTransport(url, options, checked);
    return transport;
  }

  private async launch(server: McpServer): Promise<McpProcess> {
    const { command, args, sandbox } = server;
    const env = readable(server.env, 'env');
    if (command === null) throw new Error('it has no command');
    if (sandbox === 'none') {
      return startServerProcess({ command, args, env, folder: join(this.config.dataDir, 'mcp') });
    }
    const box = {
      tier: 'workspace' as const,
      network: sandbox === 'workspace_network',
      root: this.config.workspace,
      command: [command, ...args],
      environment: env,
    };
    const child = await this.sandbox.start(box, FOR_EVER);
    return { child, kill: () => killGroup(child), why: () => this.sandbox.whyEnded(child) };
  }
}

class HttpTransport extends StreamableHTTPClientTransport implements ServerTransport {
  farewell = '';

  constructor(
    url: URL,
    options: ConstructorParameters<typeof StreamableHTTPClientTransport>[1],
    private readonly checked: CheckedFetch,
  ) {
    super(url, options);
  }

  end(verdict: string): void {
    this.farewell ||= verdict;
    void this.close();
  }

  override async close(): Promise<void> {
    await super.close();
    await this.checked.close();
  }
}

/** The two-endpoint transport of 2024. Its stream is the connection: when that is cut, so is everything under way. */
class LegacySseTransport extends SSEClientTransport implements ServerTransport {
  farewell = '';

  constructor(
    url: URL,
    options: ConstructorParameters<typeof SSEClientTransport>[1],
    private readonly checked: CheckedFetch,
  ) {
    super(url, options);
  }

  end(verdict: string): void {
    this.farewell ||= verdict;
    void this.close();
  }

  override async close(): Promise<void> {
    await super.close();
    await this.checked.close();
  }
}
