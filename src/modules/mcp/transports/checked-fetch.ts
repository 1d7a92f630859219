import type { FetchLike } from '@modelcontextprotocol/client';
import { Agent, fetch as undiciFetch, type RequestInit as UndiciInit } from 'undici';
import { checkedLookup, EgressRefusedError, urlFault, type Resolve } from '../../../platform/egress/index.js';
import { answerStream, type CountUnasked } from './answer-stream.js';

const MAX_REDIRECTS = 3;
const CONNECT_MS = 10_000;
/** A call may take a minute, and answers only then. */
const HEADERS_MS = 70_000;

/** A fetch for one server, and the end of its connections. */
export interface CheckedFetch {
  readonly fetch: FetchLike;
  close(): Promise<void>;
}

/**
 * A fetch that connects only to addresses that were checked, at the first hop and at each redirect. A redirect may not leave
 * the host and port (but from http to https), nor fall back from https, nor change the method: headers with secrets go
 * along. Answers are bounded and in the form of the protocol; see `answerStream`.
 */
export function checkedFetch(
  allowPrivate: boolean,
  resolve?: Resolve,
  countUnasked: CountUnasked = () => true,
): CheckedFetch {
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
        if (location === null || ![301, 302, 303, 307, 308].includes(response.status)) {
          return answerStream(response, countUnasked);
        }
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
