import type { FetchLike } from '@modelcontextprotocol/client';
import { Agent, fetch as undiciFetch, type RequestInit as UndiciInit } from 'undici';
import { checkedLookup, EgressRefusedError, urlFault, type Resolve } from '../../../platform/egress/index.js';

const MAX_REDIRECTS = 3;
const CONNECT_MS = 10_000;
/** A call may take a minute, and answers only then. */
const HEADERS_MS = 70_000;
/** Of one JSON answer, and of one event of a stream. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024 + 64 * 1024;

/** A fetch for one server, and the end of its connections. */
export interface CheckedFetch {
  readonly fetch: FetchLike;
  close(): Promise<void>;
}

/**
 * A fetch that connects only to addresses that were checked, at the first hop and at each redirect. A redirect may not leave
 * the host and port (but from http to https), nor fall back from https, nor change the method: headers with secrets go
 * along. Answers are bounded.
 */
export function checkedFetch(allowPrivate: boolean, resolve?: Resolve): CheckedFetch {
  const dispatcher = new Agent({
    connect: { lookup: checkedLookup(allowPrivate, resolve), timeout: CONNECT_MS },
    headersTimeout: HEADERS_MS,
    bodyTimeout: 0,
    maxHeaderSize: 32 * 1024,
  });
  const send = async (url: URL, init: RequestInit | undefined): Promise<Response> => {
    const fault = urlFault(url, allowPrivate);
    if (fault !== null) throw new EgressRefusedError(fault);
    const options = { ...init, redirect: 'manual', dispatcher } as unknown as UndiciInit;
    return (await undiciFetch(url.href, options)) as unknown as Response;
  };
  return {
    fetch: async (input, init) => {
      let url = new URL(input);
      for (let hop = 0; ; hop += 1) {
        const response = await send(url, init);
        const location = response.headers.get('location');
        if (location === null || ![301, 302, 303, 307, 308].includes(response.status)) return bounded(response);
        await response.body?.cancel();
        if (hop === MAX_REDIRECTS) throw new EgressRefusedError(`it redirects more than ${MAX_REDIRECTS} times`);
        url = redirected(url, location, response.status, init?.method ?? 'GET');
      }
    },
    close: () => dispatcher.destroy(),
  };
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

/** `response` whose body fails once a message in it is too large; events of a stream count one by one. */
function bounded(response: Response): Response {
  if (response.body === null) return response;
  const events = response.headers.get('content-type')?.startsWith('text/event-stream') ?? false;
  let size = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      const end = events
        ? Math.max(bytes.lastIndexOf('\n\n'), bytes.lastIndexOf('\r\n\r\n'), bytes.lastIndexOf('\r\r'))
        : -1;
      size = end === -1 ? size + bytes.length : bytes.length - end;
      if (size > MAX_MESSAGE_BYTES) controller.error(new EgressRefusedError('it answered with more than 4 MiB'));
      else controller.enqueue(chunk);
    },
  });
  const { status, statusText, headers } = response;
  return new Response(response.body.pipeThrough(counter), { status, statusText, headers });
}
