import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Ports that Linux gives to nobody who does not ask for them by number: those that it hands out begin at 32768. */
const [LOWEST, HIGHEST] = [10_000, 32_767];

/**
 * A free port of 127.0.0.1 for a server that cannot choose one itself, or has to come back on the same one. In the meantime
 * no connection and no listener of another test is given it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST + 1);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
