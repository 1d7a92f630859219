import type { FetchLike } from '@modelcontextprotocol/client';
import { Agent, fetch as undiciFetch, Pool, ProxyAgent, type Dispatcher, type RequestInit as UndiciInit } from 'undici';
import { checkedLookup, EgressRefusedError, urlFault, type Resolve } from '../../../platform/egress/index.js';
import { answerStream, type CountUnasked } from './answer-stream.js';

const MAX_REDIRECTS = 3;
const CONNECT_MS = 10_000;
/** A call may take a minute, and answers only then. */
const HEADERS_MS = 70_000;
const LIMITS = { headersTimeout: HEADERS_MS, bodyTimeout: 0, maxHeaderSize: 32 * 1024 };
/** Failures to connect; through a proxy they are about the proxy. */
const UNREACHABLE: readonly string[] = [
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
];

/** A fetch for one server, and the end of its connections. */
export interface CheckedFetch {
  readonly fetch: FetchLike;
  close(): Promise<void>;
}

/**
 * A fetch that connects only to addresses that were checked, at the first hop and at each redirect. A redirect may not leave
 * the host and port (but from http to https), nor fall back from https, nor change the method: headers with secrets go
 * along. Answers are bounded and in the form of the protocol; see `answerStream`. Where `proxy` names one for a URL, the proxy
 * resolves and connects, and nothing but the URL is checked.
 */
export function checkedFetch(
  allowPrivate: boolean,
  resolve?: Resolve,
  countUnasked: CountUnasked = () => true,
  proxy: (url: URL) => string | null = () => null,
): CheckedFetch {
  const direct = new Agent({
    ...LIMITS,
    connect: { lookup: checkedLookup(allowPrivate, resolve), timeout: CONNECT_MS },
  });
  const proxied = new Map<string, Dispatcher>();
  const dispatcherFor = (address: string | null): Dispatcher => {
    if (address === null) return direct;
    const known = proxied.get(address) ?? proxyDispatcher(address);
    proxied.set(address, known);
    return known;
  };
  const send = async (url: URL, init: RequestInit | undefined): Promise<Response> => {
    const fault = urlFault(url, allowPrivate);
    if (fault !== null) throw new EgressRefusedError(fault);
    const address = proxy(url);
    const options = { ...init, redirect: 'manual', dispatcher: dispatcherFor(address) } as unknown as UndiciInit;
    try {
      return (await undiciFetch(url.href, options)) as unknown as Response;
    } catch (error) {
      throw (address === null ? null : proxyRefusal(error)) ?? error;
    }
  };
  return {
    fetch: async (input, init) => {
      let url = new URL(input);
      for (let hop = 0; ; hop += 1) {
        const response = await send(url, init);
        const location = response.headers.get('location');
        if (location === null || ![301, 302, 303, 307, 308].includes(response.status)) {
          return answerStream(response, countUnasked);
        }
        await response.body?.cancel();
        if (hop === MAX_REDIRECTS) throw new EgressRefusedError(`it redirects more than ${MAX_REDIRECTS} times`);
        url = redirected(url, location, response.status, init?.method ?? 'GET');
      }
    },
    close: async () => {
      await Promise.all([direct, ...proxied.values()].map((dispatcher) => dispatcher.destroy()));
    },
  };
}

/** Connections through the proxy at `address`: tunnels for `https`, whole requests for `http`. */
function proxyDispatcher(address: string): Dispatcher {
  const { username, password } = new URL(address);
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return new ProxyAgent({
    ...LIMITS,
    uri: address,
    ...(user !== ':' && { token: `Basic ${Buffer.from(user).toString('base64')}` }),
    proxyTunnel: false,
    proxyTls: { timeout: CONNECT_MS },
    requestTls: { timeout: CONNECT_MS },
    factory: (origin, options) => new Pool(origin, { ...(options as Pool.Options), ...LIMITS }),
  });
}

/** The fault of the proxy behind `error`, before anything reached the server; null when it lies elsewhere. */
function proxyRefusal(error: unknown): EgressRefusedError | null {
  const { message = '', code = '' } = (error as { cause?: { message?: string; code?: string } } | null)?.cause ?? {};
  // The library tells a tunnel that is refused from one that is aborted by no more than this; the caller's abort has its own reason.
  if (message === 'Request was cancelled.') return new EgressRefusedError('the proxy refused the connection');
  if (message.includes('(407)')) return new EgressRefusedError('the proxy wants other credentials');
  return UNREACHABLE.includes(code) ? new EgressRefusedError(`the proxy cannot be reached (${code})`) : null;
}

function redirected(from: URL, location: string, status: number, method: string): URL {
  if (!URL.canParse(location, from.href)) throw new EgressRefusedError('it redirects to what is not a URL');
  const to = new URL(location, from);
  if (from.protocol === 'https:' && to.protocol !== 'https:')
    throw new EgressRefusedError('it redirects away from https');
  const toHttps = from.protocol === 'http:' && to.protocol === 'https:' && from.port === '' && to.port === '';
  if (to.hostname !== from.hostname || (to.origin !== from.origin && !toHttps)) {
    throw new EgressRefusedError('it redirects to another host or port');
  }
  if (method !== 'GET' && status !== 307 && status !== 308)
    throw new EgressRefusedError('its redirect would change the method');
  return to;
}
