import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { networkOf } from './client-address.js';

/**
 * Lets one network hold at most `most` connections to `server` open. Behind a proxy, whose address stands for many clients, only
 * connections count that have not sent the headers of a request: a proxy sends them whole.
 */
export function boundConnections(server: Server, { most, behindProxy }: { most: number; behindProxy: boolean }): void {
  const held = new Map<string, number>();
  const frees = new WeakMap<Socket, () => void>();
  server.on('connection', (socket: Socket) => {
    const network = networkOf(socket.remoteAddress ?? '');
    const before = held.get(network) ?? 0;
    if (before >= most) {
      socket.destroy();
      return;
    }
    held.set(network, before + 1);
    const free = (): void => {
      if (!frees.delete(socket)) return;
      const left = (held.get(network) ?? 1) - 1;
      if (left > 0) held.set(network, left);
      else held.delete(network);
    };
    frees.set(socket, free);
    socket.once('close', free);
  });
  if (behindProxy) server.prependListener('request', ({ socket }: IncomingMessage) => frees.get(socket)?.());
}
