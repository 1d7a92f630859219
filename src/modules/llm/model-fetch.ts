import { addAbortListener } from 'node:events';
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { proxyFor, type ProxySettings } from '../../platform/egress/index.js';

/** Milliseconds. `firstByte` runs from the connection to the first byte of the body, `idle` between two chunks of it. */
export interface TransportDeadlines {
  connect: number;
  firstByte: number;
  idle: number;
}

/** Bytes that one answer may hold in memory or in all; past them the connection is cut. */
const TRANSPORT_LIMITS = { body: 16 << 20, event: 8 << 20, stream: 256 << 20, errorBody: 64 << 10 };

export type TransportFault = 'timeout' | 'unreachable' | 'too_large' | 'encoding';

/** A request that failed below HTTP. `message` names no address and no header. */
export class ModelTransportError extends Error {
  override readonly name = 'ModelTransportError';
  constructor(
    readonly fault: TransportFault,
    message: string,
  ) {
    super(message);
  }
}

/** By the name of an encoding. */
const UNPACKERS: Readonly<Record<string, (() => Transform) | undefined>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};
const NO_PROXIES: ProxySettings = { http: null, https: null, except: [] };
const STATUS_WITHOUT_BODY = [204, 205, 304];

/**
 * A `fetch` for model providers on Node's own HTTP client, which can tell connecting from waiting (the global `fetch`
 * cannot). It follows no redirect, so that a key never travels to another host. It asks for no compression; of an answer that
 * is compressed all the same the limits count what was unpacked. Only string bodies are sent. A proxy that `proxies` names for an address is used;
 * the key travels through it inside TLS where the address is `https`.
 */
export function createModelFetch(
  deadlines: TransportDeadlines,
  proxies: ProxySettings = NO_PROXIES,
): typeof globalThis.fetch {
  const routes = new Routes(proxies);
  return (input, init = {}) =>
    new Promise((resolve, reject) => new Exchange(deadlines, routes, resolve, reject).send(input, init));
}

/** The agents of one fetch, each with its kept connections. */
class Routes {
  private readonly direct = { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) };
  private readonly proxied: { readonly http: HttpAgent | null; readonly https: HttpAgent | null };

  constructor(private readonly proxies: ProxySettings) {
    this.proxied = {
      http: proxies.http === null ? null : new HttpProxyAgent(proxies.http, { keepAlive: true }),
      https: proxies.https === null ? null : new HttpsProxyAgent(proxies.https, { keepAlive: true }),
    };
  }

  /** How `url` is reached, and whether that is by a proxy. */
  to(url: URL): { agent: HttpAgent; isProxied: boolean } {
    const scheme = url.protocol === 'https:' ? 'https' : 'http';
    const proxied = proxyFor(url, this.proxies) === null ? null : this.proxied[scheme];
    return { agent: proxied ?? this.direct[scheme], isProxied: proxied !== null };
  }
}

/** One request and its answer. */
class Exchange {
  private request: ClientRequest | undefined;
  private body: ReadableStreamDefaultController<Uint8Array> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isAnswering = false;
  private ended = false;
  private listening: Disposable | undefined;

  constructor(
    private readonly deadlines: TransportDeadlines,
    private readonly routes: Routes,
    private readonly resolve: (response: Response) => void,
    private readonly reject: (error: unknown) => void,
  ) {}

  send(input: string | URL | Request, init: RequestInit): void {
    const signal = init.signal;
    if (signal?.aborted) return this.fail(signal.reason);
    if (signal) this.listening = addAbortListener(signal, () => this.fail(signal.reason));
    try {
      this.start(new URL(input instanceof Request ? input.url : input), init, true);
    } catch (error) {
      this.fail(error);
    }
  }

  private start(url: URL, init: RequestInit, mayRetry: boolean): void {
    const secure = url.protocol === 'https:';
    const content = typeof init.body === 'string' ? init.body : undefined;
    const headers: Record<string, string> = {
      ...Object.fromEntries(new Headers(init.headers)),
      'accept-encoding': 'identity',
      ...(content !== undefined && { 'content-length': String(Buffer.byteLength(content)) }),
    };
    const { agent, isProxied } = this.routes.to(url);
    const request = (secure ? httpsRequest : httpRequest)(url, { method: init.method ?? 'GET', headers, agent });
    this.request = request;
    this.arm(this.deadlines.connect, 'could not be connected to in time');
    request.on('socket', (socket) => {
      // The socket of a tunnel is connected before its handshake.
      if (socket.connecting || (secure && !request.reusedSocket)) {
        socket.once(secure ? 'secureConnect' : 'connect', () => this.connected());
      } else this.connected();
    });
    request.on('proxyConnect', ({ statusCode }: { statusCode?: number }) => {
      if (statusCode !== undefined && statusCode !== 200) this.fail(refusedByProxy(statusCode));
    });
    request.on('response', (response) => {
      if (isProxied && response.statusCode === 407) this.fail(refusedByProxy(407));
      else this.receive(response);
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      // A kept connection may be closed by the other side just as it is used again; nothing was answered, so ask anew.
      if (!this.ended && mayRetry && request.reusedSocket && error.code === 'ECONNRESET' && !this.body) {
        return this.start(url, init, false);
      }
      const way = isProxied ? ' through the proxy' : '';
      const reason = error.code ?? 'connection lost';
      this.fail(new ModelTransportError('unreachable', `could not be reached${way} (${reason})`));
    });
    request.end(content);
  }

  private connected(): void {
    this.arm(this.deadlines.firstByte, 'did not begin to answer in time');
  }

  private receive(response: IncomingMessage): void {
    const status = response.statusCode ?? 0;
    const encoding = response.headers['content-encoding']?.trim().toLowerCase() || 'identity';
    const unpacker = UNPACKERS[encoding]?.();
    if (!unpacker && encoding !== 'identity') {
      return this.fail(new ModelTransportError('encoding', 'sent an answer that is compressed in an unknown way'));
    }
    const source = unpacker ? response.pipe(unpacker) : response;
    const isFailure = status >= 400;
    const isEventStream = !isFailure && /\btext\/event-stream\b/i.test(response.headers['content-type'] ?? '');
    const total = isEventStream ? TRANSPORT_LIMITS.stream : TRANSPORT_LIMITS.body;
    let held = 0;
    let received = 0;
    source.on('data', (chunk: Buffer) => {
      if (this.ended) return;
      received += chunk.length;
      if (isFailure && received > TRANSPORT_LIMITS.errorBody) {
        this.finish();
        this.request?.destroy();
        return;
      }
      const boundary = isEventStream ? lastEventEnd(chunk) : -1;
      held = boundary < 0 ? held + chunk.length : chunk.length - boundary;
      if (received > total || (isEventStream && held > TRANSPORT_LIMITS.event)) {
        return this.fail(new ModelTransportError('too_large', 'sent more than an answer may hold'));
      }
      if (this.isAnswering) this.timer?.refresh();
      else this.arm(this.deadlines.idle, 'stopped answering');
      this.isAnswering = true;
      this.body?.enqueue(chunk);
      if ((this.body?.desiredSize ?? 1) <= 0) source.pause();
    });
    source.on('end', () => this.finish());
    unpacker?.on('error', () => {
      this.fail(new ModelTransportError('encoding', 'sent a compressed answer that cannot be unpacked'));
    });
    const cutOff = (): void => {
      // A body that has come whole may still be being unpacked.
      if (unpacker && response.complete) return;
      if (!this.ended) this.fail(new ModelTransportError('unreachable', 'closed the connection in mid-answer'));
    };
    response.on('error', cutOff);
    response.on('close', cutOff);
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.body = controller;
        },
        pull: () => {
          source.resume();
        },
        cancel: () => this.fail(new ModelTransportError('unreachable', 'was hung up on')),
      },
      { highWaterMark: 64 << 10, size: (chunk) => chunk?.byteLength ?? 0 },
    );
    try {
      const headers = new Headers();
      for (let at = 0; at < response.rawHeaders.length; at += 2) {
        headers.append(response.rawHeaders[at] ?? '', response.rawHeaders[at + 1] ?? '');
      }
      const body = STATUS_WITHOUT_BODY.includes(status) ? null : stream;
      this.resolve(new Response(body, { status, statusText: response.statusMessage ?? '', headers }));
    } catch {
      this.fail(new ModelTransportError('encoding', 'sent a response that is not HTTP'));
    }
  }

  private arm(ms: number, complaint: string): void {
    clearTimeout(this.timer);
    if (!this.ended) this.timer = setTimeout(() => this.fail(new ModelTransportError('timeout', complaint)), ms);
  }

  private finish(): void {
    if (this.ended) return;
    this.settle();
    this.body?.close();
  }

  private fail(error: unknown): void {
    if (this.ended) return;
    this.settle();
    this.reject(error);
    try {
      this.body?.error(error);
    } catch {
      // A stream that its reader has cancelled takes no error.
    }
    this.request?.destroy();
  }

  private settle(): void {
    this.ended = true;
    clearTimeout(this.timer);
    this.listening?.[Symbol.dispose]();
  }
}

function refusedByProxy(status: number): ModelTransportError {
  const why = status === 407 ? 'the proxy wants other credentials' : `the proxy answered with status ${status}`;
  return new ModelTransportError('unreachable', `could not be reached: ${why}`);
}

const BLANK_LINES = [Buffer.from('\n\n'), Buffer.from('\r\n\r\n')];
const LF = 10;
const CR = 13;

/** Where the last event of `chunk` ends; -1 when none does. Most chunks end with an event, which is seen without a search. */
function lastEventEnd(chunk: Buffer): number {
  const before = chunk[chunk.length - 2];
  if (chunk[chunk.length - 1] === LF && (before === LF || (before === CR && chunk[chunk.length - 3] === LF))) {
    return chunk.length;
  }
  return Math.max(...BLANK_LINES.map((blank) => chunk.lastIndexOf(blank)));
}
