import { connect, createServer, type AddressInfo, type NetConnectOpts, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** One of the two ways that bytes go. */
interface Direction {
  from: Socket;
  to: Socket;
  /** Bytes on their way, oldest first, and when they are due (`performance.now()`); null is the end. */
  queue: { data: Buffer | null; at: number }[];
  swallows: boolean;
  timer: NodeJS.Timeout | undefined;
}

interface Pair {
  client: Socket;
  server: Socket;
  questions: Direction;
  answers: Direction;
}

/**
 * Stands between a worker and one server. It passes bytes on at once, until it is told to cut, to swallow one direction, to be
 * late, or to hold back what the worker sends: that is delivered later, though the worker be gone or have given up.
 */
export class FaultProxy {
  private readonly pairs = new Set<Pair>();
  private latencyMs = 0;
  private heldUntil = 0;

  private constructor(
    private readonly listener: Server,
    private readonly target: NetConnectOpts,
  ) {}

  static async before(target: NetConnectOpts): Promise<FaultProxy> {
    const listener = createServer({ allowHalfOpen: true });
    const proxy = new FaultProxy(listener, target);
    listener.on('connection', (client) => proxy.serve(client));
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.listener.address() as AddressInfo).port;
  }

  /** Connections that stand now. */
  get connections(): number {
    return this.pairs.size;
  }

  /** Resets every connection on both sides. */
  cut(): void {
    for (const pair of this.pairs) this.end(pair);
  }

  /** Swallows one direction of the connections that stand now; new ones are whole. @returns what ends them. */
  halfOpen(swallows: 'questions' | 'answers'): () => void {
    const struck = [...this.pairs];
    for (const pair of struck) pair[swallows].swallows = true;
    return () => {
      for (const pair of struck) this.end(pair);
    };
  }

  /** Makes every byte late by `ms` from now on; 0 ends it. */
  delay(ms: number): void {
    this.latencyMs = ms;
  }

  /** Keeps what the worker sends in the next `ms` milliseconds back until then, on old and new connections. */
  hold(ms: number): void {
    this.heldUntil = performance.now() + ms;
  }

  async close(): Promise<void> {
    this.cut();
    this.listener.close();
    await once(this.listener, 'close');
  }

  private serve(client: Socket): void {
    const server = connect({ ...this.target, allowHalfOpen: true });
    const direction = (from: Socket, to: Socket): Direction => ({
      from,
      to,
      queue: [],
      swallows: false,
      timer: undefined,
    });
    const pair: Pair = {
      client,
      server,
      questions: direction(client, server),
      answers: direction(server, client),
    };
    this.pairs.add(pair);
    for (const socket of [client, server]) socket.setNoDelay(true);
    for (const flow of [pair.questions, pair.answers]) {
      const isQuestion = flow === pair.questions;
      let ended = false;
      const pass = (data: Buffer | null): void => {
        if (data === null && ended) return;
        ended ||= data === null;
        this.pass(flow, data, isQuestion);
      };
      flow.from.on('data', pass);
      flow.from.on('end', () => pass(null));
      flow.from.on('error', () => pass(null));
      flow.from.on('close', () => {
        pass(null);
        if (!isQuestion) this.end(pair);
      });
    }
  }

  private pass(flow: Direction, data: Buffer | null, isQuestion: boolean): void {
    if (flow.swallows) return;
    const now = performance.now();
    const dueAt = Math.max(now + this.latencyMs, isQuestion ? this.heldUntil : 0, flow.queue.at(-1)?.at ?? 0);
    flow.queue.push({ data, at: dueAt });
    if (flow.queue.length === 1) this.send(flow);
  }

  private send(flow: Direction): void {
    for (let next = flow.queue[0]; next !== undefined; next = flow.queue[0]) {
      const waitMs = next.at - performance.now();
      if (waitMs > 0) {
        flow.timer = setTimeout(() => this.send(flow), waitMs);
        return;
      }
      flow.queue.shift();
      if (flow.to.destroyed) continue;
      if (next.data === null) flow.to.end();
      else flow.to.write(next.data);
    }
  }

  private end(pair: Pair): void {
    this.pairs.delete(pair);
    for (const flow of [pair.questions, pair.answers]) {
      clearTimeout(flow.timer);
      flow.queue.length = 0;
      flow.swallows = true;
    }
    for (const socket of [pair.client, pair.server]) {
      // Only TCP knows a reset, and only once it is connected.
      if (socket.connecting || (socket === pair.server && 'path' in this.target)) socket.destroy();
      else if (!socket.destroyed) socket.resetAndDestroy();
    }
  }
}
