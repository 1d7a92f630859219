import type { FastifyReply, FastifyRequest } from 'fastify';

const PING_MS = 15_000;
/** Bytes that may wait for a slow reader. A reader that falls further behind is cut off; it can resume by id. */
const MOST_BUFFERED = 256 * 1024;
/** How long bytes may wait before the reader counts as gone, and how often that is looked at. */
const DRAIN_TIMEOUT_MS = 30_000;
const DRAIN_LOOK_MS = 5_000;

/** How often an open stream looks whether its caller may still read. */
const RECHECK_MS = 1_000;

/** One server-sent event. */
export interface EventFrame {
  /** JSON, or text as it is, or the bytes of a text without line breaks, which all its readers share. */
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

const LINE_BREAK = /\r\n|\r|\n/;

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
  /** Whether a frame has begun that is not yet whole: nothing else may come between. */
  private inFrame = false;
  private readonly response: FastifyReply['raw'];
  private readonly socket: FastifyRequest['raw']['socket'];

  constructor(reply: FastifyReply, options: EventStreamOptions) {
    this.signal = this.closed.signal;
    this.farewell = options.farewell ?? ((): readonly EventFrame[] => []);
    this.response = reply.raw;
    this.socket = reply.request.raw.socket;
    reply.hijack();
    this.response.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      ...options.headers,
    });
    this.response.flushHeaders();
    this.socket.setNoDelay(true);
    // Every response that waits on the connection listens to it.
    this.socket.setMaxListeners(0);
    this.ping = setInterval(() => this.inFrame || this.write(': ping\n\n'), PING_MS);
    this.ping.unref();
    this.recheck = this.watchCaller(checks.get(reply.request));
    // A response that waits for an earlier one on its connection is not told when that closes.
    this.socket.once('close', this.release);
    this.response.on('error', this.release);
    open.add(this);
    if (this.socket.destroyed) this.release();
    else if (reply.request.method === 'HEAD') this.end();
  }

  /** Sends `frame`; false when nobody reads any more. */
  send(frame: EventFrame): boolean {
    if (!Buffer.isBuffer(frame.data)) return this.write(encodeFrame(frame));
    this.response.cork();
    const isSent = this.write(`${encodeFields(frame)}data: `) && this.write(frame.data) && this.write('\n\n');
    this.response.uncork();
    return isSent;
  }

  /**
   * Sends one frame whose data comes in pieces without line breaks, each once the one before has left this process. A reader
   * is cut off when `pieces` throws, since the frame cannot be made whole. @throws what `pieces` throws.
   */
  async sendInPieces(frame: Omit<EventFrame, 'data'>, pieces: AsyncIterable<string | Buffer>): Promise<void> {
    if (this.signal.aborted) return;
    this.inFrame = true;
    try {
      this.write(`${encodeFields(frame)}data: `);
      for await (const piece of pieces) {
        if (this.lags) await this.drained();
        if (!this.write(piece)) return;
      }
      this.write('\n\n');
    } catch (error) {
      this.cutOff();
      throw error;
    } finally {
      this.inFrame = false;
    }
    await this.drained();
  }

  /** Whether the reader is slow enough for a producer to wait. */
  get lags(): boolean {
    return !this.signal.aborted && this.response.writableNeedDrain;
  }

  /** Resolves when everything sent has left this process, or nobody reads any more. */
  async drained(): Promise<void> {
    if (!this.lags) return;
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

  /** Sends `last` and ends the stream; in the middle of a frame it is cut instead, so that nobody takes it for whole. */
  end(last: readonly EventFrame[] = []): void {
    if (this.signal.aborted) return;
    if (this.inFrame) {
      this.cutOff();
      return;
    }
    for (const frame of last) this.send(frame);
    // A reader that takes nothing any more must not keep the connection, and with it the shutdown, open.
    const { response, socket } = this;
    const overdue = setTimeout(() => socket.destroy(), DRAIN_TIMEOUT_MS).unref();
    const ended = (): void => {
      clearTimeout(overdue);
      socket.off('close', ended);
    };
    response.once('finish', ended);
    socket.once('close', ended);
    response.end();
    this.release();
  }

  private write(text: string | Buffer): boolean {
    if (this.signal.aborted) return false;
    if (this.response.writableLength > MOST_BUFFERED) return this.cutOff();
    this.written += Buffer.byteLength(text);
    if (!this.response.write(text)) this.watchStall();
    return true;
  }

  /** Cuts off a reader when bytes have waited for `DRAIN_TIMEOUT_MS`. */
  private watchStall(): void {
    if (this.stalled !== null) return;
    /** What had been written at each of the last looks. */
    const marks = [this.written];
    this.stalled = setInterval(() => {
      const left = this.written - this.response.writableLength;
      if (marks.length === DRAIN_TIMEOUT_MS / DRAIN_LOOK_MS && left < (marks.shift() ?? 0)) this.cutOff();
      else if (this.response.writableNeedDrain) marks.push(this.written);
      else this.forgetStall();
    }, DRAIN_LOOK_MS).unref();
  }

  private forgetStall(): void {
    if (this.stalled !== null) clearInterval(this.stalled);
    this.stalled = null;
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
    this.socket.destroy();
    this.release();
    return false;
  }

  private readonly release = (): void => {
    clearInterval(this.ping);
    if (this.recheck !== null) clearInterval(this.recheck);
    this.forgetStall();
    this.socket.off('close', this.release);
    open.delete(this);
    this.closed.abort();
  };
}

/** `frame` on the wire. Line breaks in texts become further `data:` lines, in ids and types they are dropped. */
export function encodeFrame(frame: EventFrame): string {
  const data = typeof frame.data === 'string' ? frame.data : JSON.stringify(frame.data);
  const lines = LINE_BREAK.test(data) ? data.split(LINE_BREAK).join('\ndata: ') : data;
  return `${encodeFields(frame)}data: ${lines}\n\n`;
}

function encodeFields({ id, event }: Omit<EventFrame, 'data'>): string {
  const oneLine = (text: string): string => text.replace(/[\r\n\0]/g, '');
  return (
    (id === undefined ? '' : `id: ${oneLine(String(id))}\n`) + (event === undefined ? '' : `event: ${oneLine(event)}\n`)
  );
}
