import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * Runs `work` while no other process of this machine starts the same cluster. The lock is a name in Linux' abstract socket
 * namespace: the kernel gives it to one process and takes it back when that process ends, however it ends.
 * Elsewhere there is no lock.
 */
export async function withStartLock<T>(
  cluster: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (process.platform !== 'linux') return work();
  const name = `\0nova-orchestrator-${createHash('sha256').update(cluster).digest('hex').slice(0, 32)}`;
  let lock: Server | null;
  while ((lock = await bind(name)) === null) await delay(50, undefined, { signal });
  try {
    return await work();
  } finally {
    lock.close();
  }
}

function bind(name: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(null) : reject(error),
    );
    server.listen(name, () => resolve(server));
  });
}
