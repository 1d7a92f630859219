import type { IncomingMessage } from 'node:http';
import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';

/** Bytes a body may have where a route says nothing else. */
export const DEFAULT_BODY_LIMIT = 1024 * 1024;

/** What is taken and thrown away of a body that is refused unread. */
const MOST_DISCARDED = 64 * 1024 * 1024;
const DISCARD_MS = 5_000;

/** Lets a route take bodies of up to `bytes`. */
export const BodyLimit = (bytes: number): MethodDecorator => RouteConfig({ bodyLimit: bytes });

/** Makes `instance` honour `BodyLimit`; before its routes are registered. */
export function honourBodyLimits(instance: FastifyInstance): void {
  instance.addHook('onRoute', (route) => {
    const { bodyLimit } = (route.config ?? {}) as { bodyLimit?: number };
    if (bodyLimit !== undefined) route.bodyLimit = bodyLimit;
  });
  // The connection is closed after a body was refused unread. A caller that is still sending then meets a broken pipe
  // and, as fetch does, never reads the answer: so the rest of the body comes first, up to a bound.
  instance.addHook('onSend', async (request, reply) => {
    if (reply.statusCode >= 400 && !request.raw.complete) await discard(request.raw);
  });
}

function discard(body: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let left = MOST_DISCARDED;
    const count = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left < 0) done();
    };
    const done = (): void => {
      clearTimeout(deadline);
      body.off('data', count);
      resolve();
    };
    const deadline = setTimeout(done, DISCARD_MS);
    body.on('data', count).once('end', done).once('close', done).once('error', done);
    body.resume();
  });
}
