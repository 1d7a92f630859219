import { constants } from 'node:fs';
import { chmod, open, rm, type FileHandle } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { checkedLookup, EgressRefusedError, urlFault } from '../../../platform/egress/index.js';
import { temporaryFolder } from '../temporary-folder.js';

/** Linux's number; Node does not name it. A socket can be opened no other way. */
const O_PATH = 0o10000000;

const CONNECT_MS = 10_000;
const IDLE_MS = 120_000;
const MAX_CONNECTIONS = 256;

/** Headers that are about the connection to the proxy and not about the request. */
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

interface Proxy {
  server: Server;
  /** Of the socket; it stays open while the server does. */
  folder: FileHandle;
  path: string;
}

/** A socket's path may have 107 bytes, and those of folders may have more. */
function socketOf({ folder }: Pick<Proxy, 'folder'>): string {
  return `/proc/self/fd/${folder.fd}/proxy`;
}

/**
 * The way to the network for boxes that may have one: an HTTP proxy on a unix socket, which is mounted into the box, whose
 * network namespace stays empty. It connects to public addresses only, and to the very address it has checked: neither
 * this service nor anything beside it can be reached. The folder of the socket is closed to other users of the machine.
 */
@Injectable()
export class Egress implements OnApplicationShutdown {
  private current: Promise<Proxy> | undefined;
  /** Every one that was started: boxes may still hold the socket of one that was replaced. */
  private readonly proxies: Proxy[] = [];

  protected readonly temporary: string = tmpdir();

  constructor(private readonly config: AppConfig) {}

  /** An open descriptor of the proxy's socket, to be mounted; the caller closes it. A start that failed is tried again. */
  async open(): Promise<FileHandle> {
    const used = this.running();
    try {
      return await open(socketOf(await used), O_PATH);
    } catch (error) {
      if (this.current === used) this.current = undefined;
      // Cleaners of temporary files take an old socket away.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT') throw error;
      return open(socketOf(await this.running()), O_PATH);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.current?.catch(() => undefined);
    for (const { server, folder, path } of this.proxies.splice(0)) {
      // Takes the socket away, by the descriptor of its folder.
      server.close();
      server.closeAllConnections();
      await folder.close();
      await rm(path, { recursive: true, force: true });
    }
  }

  private running(): Promise<Proxy> {
    this.current ??= this.start();
    return this.current;
  }

  /** Why nothing may be fetched from `url`; null when something may, if its name leads to a public address. */
  protected fault(url: URL): string | null {
    return urlFault(url, false);
  }

  protected readonly lookup: ReturnType<typeof checkedLookup> = checkedLookup(false);

  private async start(): Promise<Proxy> {
    const path = await temporaryFolder('egress', this.config.dataDir, this.temporary);
    let folder: FileHandle | undefined;
    const server = this.server();
    try {
      folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
      const proxy = { server, folder, path };
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(socketOf(proxy), resolve);
      });
      server.unref();
      // Any box that has it mounted may connect; nobody else comes through the folder.
      await chmod(socketOf(proxy), 0o666);
      this.proxies.push(proxy);
      return proxy;
    } catch (error) {
      server.close();
      await folder?.close();
      await rm(path, { recursive: true, force: true });
      throw error;
    }
  }

  private server(): Server {
    const server = createServer({ connectionsCheckingInterval: 5_000 }, (message, reply) =>
      this.forward(message, reply),
    );
    server.maxConnections = MAX_CONNECTIONS;
    server.on('connect', (message: IncomingMessage, socket: Socket, head: Buffer) =>
      this.tunnel(message, socket, head),
    );
    server.on('clientError', (_, socket) => socket.destroy());
    return server;
  }

  /** `CONNECT host:port`: bytes both ways, as for TLS. */
  private tunnel(message: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    const url = URL.canParse(`http://${message.url}`) ? new URL(`http://${message.url}`) : null;
    const fault = url === null || url.pathname !== '/' ? 'the request names no host and port' : this.fault(url);
    if (url === null || fault !== null) return void socket.end(refusal(fault ?? ''));
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const far = connect({ host, port: Number(url.port || 80), lookup: this.lookup });
    const giveUp = setTimeout(() => far.destroy(new Error('it does not answer')), CONNECT_MS);
    far.once('connect', () => {
      clearTimeout(giveUp);
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      far.write(head);
      far.pipe(socket).pipe(far);
    });
    far.on('error', (error) => {
      clearTimeout(giveUp);
      if (far.bytesRead > 0 || far.readyState === 'open') socket.destroy();
      else socket.end(refusal(error instanceof EgressRefusedError ? error.message : 'the host cannot be reached'));
    });
    for (const end of [socket, far]) end.setTimeout(IDLE_MS, () => end.destroy());
    socket.once('close', () => far.destroy());
    far.once('close', () => socket.destroySoon());
  }

  /** `GET http://host/path`: one request onwards, one answer back. */
  private forward(message: IncomingMessage, reply: ServerResponse): void {
    const url = URL.canParse(message.url ?? '') ? new URL(message.url ?? '') : null;
    const fault = url?.protocol === 'http:' ? this.fault(url) : 'the request names no http URL';
    if (url === null || fault !== null) return refuse(reply, fault ?? '');
    const headers = Object.fromEntries(Object.entries(message.headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
    const onwards = request(
      url,
      { method: message.method, headers, lookup: this.lookup, agent: false, timeout: IDLE_MS },
      (answer) => {
        const kept = Object.entries(answer.headers).filter(([name]) => !HOP_BY_HOP.includes(name));
        reply.writeHead(answer.statusCode ?? 502, Object.fromEntries(kept));
        answer.pipe(reply);
        answer.on('error', () => reply.destroy());
      },
    );
    onwards.on('timeout', () => onwards.destroy(new Error('it does not answer')));
    onwards.on('error', (error) => {
      if (reply.headersSent) reply.destroy();
      else refuse(reply, error instanceof EgressRefusedError ? error.message : 'the host cannot be reached');
    });
    reply.once('close', () => onwards.destroy());
    message.pipe(onwards);
  }
}

function refuse(reply: ServerResponse, why: string): void {
  reply.writeHead(403, { 'content-type': 'text/plain', connection: 'close' }).end(`Refused by the sandbox: ${why}.\n`);
}

function refusal(why: string): string {
  const body = `Refused by the sandbox: ${why}.\n`;
  return `HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`;
}
