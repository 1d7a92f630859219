import { Injectable } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { AppConfig } from '../../config/index.js';
import { DomainError } from '../../platform/errors/index.js';
import type { Principal } from './principal.js';

/** A reader that is refused may try again after this. */
const RETRY_SECONDS = 5;

/** Counts the event streams that this process holds open: each costs a connection and memory for as long as it lasts. */
@Injectable()
export class StreamPlaces {
  private total = 0;
  private readonly byKey = new Map<string, number>();

  constructor(private readonly config: AppConfig) {}

  /**
   * Takes a place until the response or its connection has closed.
   * @throws DomainError `rate_limited` when the caller's key, or the whole process, has as many streams as it may.
   */
  take(principal: Principal, reply: FastifyReply): void {
    const { most, mostPerKey } = this.config.streams;
    const key = principal.kind === 'key' ? principal.keyId : null;
    const held = key === null ? 0 : (this.byKey.get(key) ?? 0);
    if (held >= mostPerKey) refuse(`This key may hold ${mostPerKey} event streams open at a time.`);
    if (this.total >= most) refuse(`This process holds ${most} event streams open, and takes no more.`);
    this.total += 1;
    if (key !== null) this.byKey.set(key, held + 1);
    const { socket } = reply.request.raw;
    // Every request that waits on the connection listens to it.
    socket.setMaxListeners(0);
    const free = (): void => {
      reply.raw.off('close', free);
      socket.off('close', free);
      this.total -= 1;
      if (key !== null) this.give(key);
    };
    reply.raw.once('close', free);
    // A response that waits for an earlier one on its connection is not told when that closes.
    socket.once('close', free);
    if (socket.destroyed) free();
  }

  private give(key: string): void {
    const left = (this.byKey.get(key) ?? 1) - 1;
    if (left > 0) this.byKey.set(key, left);
    else this.byKey.delete(key);
  }
}

function refuse(detail: string): never {
  throw new DomainError('rate_limited', detail, { retryAfterSeconds: RETRY_SECONDS });
}
