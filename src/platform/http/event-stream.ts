import type { FastifyReply, FastifyRequest } from 'fastify';

const PING_MS = 15_000;
/** Bytes that may wait for a slow reader. A reader that falls further behind is cut off; it can resume by id. */
const MOST_BUFFERED = 256 * 1024;
/** How long bytes may wait before the reader counts as gone. */
const DRAIN_TIMEOUT_MS = 30_000;

/** How often an open stream looks whether its caller may still read. */
const RECHECK_MS = 1_000;

/** One server-sent event. */
export interface EventFrame {
  /** JSON, or text as it is. */
  data: unknown;
  id?: string | number;
  event?: string;
}

export interface EventStreamOptions {
  /** Further response headers, for example `X-Task-Id`. */
  headers?: Record<string, string>;
  /** The last frames of a stream that ends because the service does. */
  farewell?: () => readonly EventFrame[];
}

const checks = new WeakMap<FastifyRequest, () => Promise<boolean>>();

/**
 * Ends the streams that answer `request` soon after `allowed` has become false: a credential that stops working stops them
 * too. A check that fails decides nothing and is made again.
 */
export function keepStreamsWhile(request: FastifyRequest, allowed: () => Promise<boolean>): void {
  checks.set(request, allowed);
}

/** The streams that are open now, so that shutdown can end them. */
const open = new Set<EventStream>();

/** Ends every open stream with its farewell. */
export function endEventStreams(): void {
  for (const stream of open) stream.end(stream.farewell());
}

/**
 * Answers with a stream of server-sent events. The reply is taken out of Fastify's hands: throw what is to become a
 * problem document before. Comments keep proxies from closing an idle stream.
 */
export function openEventStream(reply: FastifyReply, options: EventStreamOptions = {}): EventStream {
  return new EventStream(reply, options);
}

/**
 * Memory stays bounded whatever the reader does: `send` never waits and cuts off a reader that lags too far behind;
 * producers that can wait call `drained` between sends.
 */
export class EventStream {
  /** Aborted when the reader went away, was cut off, or the stream ended. */
  readonly signal: AbortSignal;
  readonly farewell: () => readonly EventFrame[];
  private readonly closed = new AbortController();
  private readonly ping: NodeJS.Timeout;
  private readonly recheck: NodeJS.Timeout | null;
  private stalled: NodeJS.Timeout | null = null;
  /** Bytes handed to the response. */
  private written = 0;
  private readonly response: FastifyReply['raw'];

  constructor(reply: FastifyReply, options: EventStreamOptions) {
    this.signal = this.closed.signal;
    this.farewell = options.farewell ?? ((): readonly EventFrame[] => []);
    this.response = reply.raw;
    reply.hijack();
    this.response.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      ...options.headers,
    });
    this.response.flushHeaders();
    this.response.socket?.setNoDelay(true);
    this.ping = setInterval(() => this.write(': ping\n\n'), PING_MS);
    this.ping.unref();
    this.recheck = this.watchCaller(checks.get(reply.request));
    this.response.on('close', () => this.release());
    this.response.on('error', () => this.release());
    open.add(this);
    if (this.response.destroyed) this.release();
    else if (reply.request.method === 'HEAD') this.end();
  }

  /** Sends `frame`; false when nobody reads any more. */
  send(frame: EventFrame): boolean {
    return this.write(encodeFrame(frame));
  }

  /** Resolves when everything sent has left this process, or nobody reads any more. */
  async drained(): Promise<void> {
    if (this.signal.aborted || !this.response.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.response.off('drain', done);
        this.signal.removeEventListener('abort', done);
        resolve();
      };
      this.response.once('drain', done);
      this.signal.addEventListener('abort', done, { once: true });
    });
  }

  /** Sends `last` and ends the stream. */
  end(last: readonly EventFrame[] = []): void {
    if (this.signal.aborted) return;
    for (const frame of last) this.send(frame);
    this.response.end();
    // A reader that takes nothing any more must not keep the connection, and with it the shutdown, open.
    setTimeout(() => this.response.destroy(), DRAIN_TIMEOUT_MS).unref();
    this.release();
  }

  private write(text: string): boolean {
    if (this.signal.aborted) return false;
    if (this.response.writableLength > MOST_BUFFERED) return this.cutOff();
    this.written += Buffer.byteLength(text);
    if (!this.response.write(text)) this.watchStall();
    return true;
  }

  /** Gives the bytes that wait now `DRAIN_TIMEOUT_MS` to leave; those that come later wait for the next look. */
  private watchStall(): void {
    if (this.stalled !== null) return;
    const mark = this.written;
    this.stalled = setTimeout(() => {
      this.stalled = null;
      if (this.written - this.response.writableLength < mark) this.cutOff();
      else if (this.response.writableNeedDrain) this.watchStall();
    }, DRAIN_TIMEOUT_MS);
    this.stalled.unref();
  }

  private watchCaller(allowed: (() => Promise<boolean>) | undefined): NodeJS.Timeout | null {
    if (allowed === undefined) return null;
    const check = (): void =>
      void allowed().then(
        (still) => {
          if (!still) this.end();
        },
        () => undefined,
      );
    return setInterval(check, RECHECK_MS).unref();
  }

  private cutOff(): false {
    this.response.destroy();
    this.release();
    return false;
  }

  private release(): void {
    clearInterval(this.ping);
    if (this.recheck !== null) clearInterval(this.recheck);
    if (this.stalled !== null) clearTimeout(this.stalled);
    open.delete(this);
    this.closed.abort();
  }
}

/** `frame` on the wire. Line breaks in texts become further `data:` lines, in ids and types they are dropped. */
export function encodeFrame(frame: EventFrame): string {
  const oneLine = (text: string): string => text.replace(/[\r\n\0]/g, '');
  const data = typeof frame.data === 'string' ? frame.data : JSON.stringify(frame.data);
  return [
    ...(frame.id === undefined ? [] : [`id: ${oneLine(String(frame.id))}`]),
    ...(frame.event === undefined ? [] : [`event: ${oneLine(frame.event)}`]),
    ...data.split(/\r\n|\r|\n/).map((line) => `data: ${line}`),
    '\n',
  ].join('\n');
}
