import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

/** An HTTP proxy that leads every name to a port of this machine, or refuses everything with one status. */
export class ForwardProxy {
  /** First lines of what it was asked, such as `CONNECT models.test:443` and `POST http://models.test/v1`. */
  readonly asked: string[] = [];
  /** User and password that it was shown, as `user:password`. */
  readonly credentials = new Set<string>();
  /** All that its tunnels have carried to the other side. */
  carried = '';
  /** Refuses everything with this status while it is not null. */
  refuses: number | null = null;

  private constructor(private readonly server: Server) {}

  static async start(port: () => number): Promise<ForwardProxy> {
    const server = createServer();
    const proxy = new ForwardProxy(server);
    server.on('request', (message, reply) => {
      proxy.note(message);
      if (proxy.refuses !== null) return void reply.writeHead(proxy.refuses).end();
      const { pathname, search } = new URL(message.url ?? '');
      const to = { port: port(), path: pathname + search, method: message.method, headers: message.headers };
      const onwards = request(to, (answer) => {
        reply.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(reply);
      });
      onwards.on('error', () => reply.destroy());
      reply.on('close', () => onwards.destroy());
      message.pipe(onwards);
    });
    server.on('connect', (message: IncomingMessage, socket: Socket, head: Buffer) => {
      proxy.note(message);
      socket.on('error', () => socket.destroy());
      if (proxy.refuses !== null) return void socket.end(`HTTP/1.1 ${proxy.refuses} No\r\n\r\n`);
      socket.on('data', (data: Buffer) => (proxy.carried += data.toString('latin1')));
      const far = connect(port(), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        far.write(head);
        far.pipe(socket).pipe(far);
      });
      far.on('error', () => socket.destroy());
      socket.on('close', () => far.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  /** `host:port`, as many shells have it. */
  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private note({ method, url, headers }: IncomingMessage): void {
    this.asked.push(`${method} ${url}`);
    const basic = /^Basic (.+)$/.exec(headers['proxy-authorization'] ?? '')?.[1];
    if (basic !== undefined) this.credentials.add(Buffer.from(basic, 'base64').toString());
  }
}
