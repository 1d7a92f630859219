import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FaultProxy } from './fault-proxy.js';

let server: Server;
let proxy: FaultProxy;
let served: Socket[];
beforeEach(async () => {
  served = [];
  server = createServer({ allowHalfOpen: true }, (socket) => {
    served.push(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await FaultProxy.before({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
});
afterEach(async () => {
  await proxy.close();
  for (const socket of served) socket.destroy();
  server.close();
});

/** A connection through the proxy, and its other end. */
async function connection(): Promise<{ client: Socket; far: Socket }> {
  const accepted = once(server, 'connection');
  const client = connect(proxy.port, '127.0.0.1');
  client.on('error', () => undefined);
  const [far] = (await accepted) as [Socket];
  return { client, far };
}

/** Resolves when it is closed, by a reset too. */
const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once('close', () => resolve()));

const words = async (socket: Socket): Promise<string> => String(((await once(socket, 'data')) as [Buffer])[0]);

describe('a fault proxy', () => {
  it('passes both directions on', async () => {
    const { client, far } = await connection();
    client.write('asked');
    expect(await words(far)).toBe('asked');
    far.write('answered');
    expect(await words(client)).toBe('answered');
    far.end();
    await once(client.resume(), 'end');
  });

  it('resets both ends when it cuts, and serves new connections', async () => {
    const { client, far } = await connection();
    // Until its word arrives, the proxy may not know that it is connected.
    client.write('connected');
    await words(far);
    const ends = [closed(client), closed(far)];
    proxy.cut();
    await Promise.all(ends);
    expect(proxy.connections).toBe(0);
    const next = await connection();
    next.client.write('again');
    expect(await words(next.far)).toBe('again');
  });

  it.each(['questions', 'answers'] as const)(
    'swallows the %s of the connections that stand, and of no other',
    async (way) => {
      const { client, far } = await connection();
      const end = proxy.halfOpen(way);
      const [from, to] = way === 'questions' ? [client, far] : [far, client];
      let arrived = '';
      to.on('data', (data) => (arrived += String(data)));
      from.write('swallowed');
      to.write('whole');
      expect(await words(from)).toBe('whole');
      const next = await connection();
      next.client.write('new');
      expect(await words(next.far)).toBe('new');
      const ends = [closed(client), closed(far)];
      end();
      await Promise.all(ends);
      expect(arrived).toBe('');
    },
  );

  it('delivers what it held although the client is gone, and the end after it', async () => {
    const { client, far } = await connection();
    client.write('before');
    expect(await words(far)).toBe('before');
    const heldFrom = performance.now();
    proxy.hold(200);
    client.write('late');
    client.end();
    client.destroy();
    const arrived = words(far);
    const end = once(far, 'end');
    expect(await arrived).toBe('late');
    // It cannot come too early, however slow the machine is.
    expect(performance.now() - heldFrom).toBeGreaterThanOrEqual(199);
    await end;
  });
});
