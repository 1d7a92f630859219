import { randomBytes } from 'node:crypto';
import { logContext, type LogContext } from '../logging/index.js';

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

/** The `traceparent` for calls that the present request makes to others, or null when its caller sent none. */
export function outgoingTraceparent(): string | null {
  const { trace_id, span_id, trace_flags } = logContext();
  return trace_id && span_id ? `00-${trace_id}-${span_id}-${trace_flags ?? '00'}` : null;
}
