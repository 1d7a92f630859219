import { RouteConfig } from '@nestjs/platform-fastify';
import type { FastifyInstance } from 'fastify';

/** Bytes a body may have where a route says nothing else. */
export const DEFAULT_BODY_LIMIT = 1024 * 1024;

/** Lets a route take bodies of up to `bytes`. */
export const BodyLimit = (bytes: number): MethodDecorator => RouteConfig({ bodyLimit: bytes });

/** Makes `instance` honour `BodyLimit`; before its routes are registered. */
export function honourBodyLimits(instance: FastifyInstance): void {
  instance.addHook('onRoute', (route) => {
    const { bodyLimit } = (route.config ?? {}) as { bodyLimit?: number };
    if (bodyLimit !== undefined) route.bodyLimit = bodyLimit;
  });
}
