import { randomBytes } from 'node:crypto';
import type { LogContext } from '../logging/index.js';

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * The log fields of a request that belongs to its caller's trace: the caller's trace id and a new span id of ours.
 * Empty for a header that is absent or not a valid W3C `traceparent`.
 */
export function traceOf(header: string | string[] | undefined): LogContext {
  const [, version, traceId, parentId, flags, more] = TRACEPARENT.exec(typeof header === 'string' ? header : '') ?? [];
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return {};
  if (/^0+$/.test(traceId ?? '') || /^0+$/.test(parentId ?? '')) return {};
  return { trace_id: traceId, span_id: randomBytes(8).toString('hex'), trace_flags: flags };
}
