import { describe, expect, it } from '@jest/globals';
import { traceOf } from './traceparent.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

describe('traceparent', () => {
  it('continues the trace of the caller with a span of its own', () => {
    const trace = traceOf(`00-${TRACE}-00f067aa0ba902b7-01`);
    expect(trace).toMatchObject({ trace_id: TRACE, trace_flags: '01' });
    expect(trace.span_id).not.toBe('00f067aa0ba902b7');
    expect(trace.span_id).toMatch(/^[0-9a-f]{16}$/);
  });

  it('takes versions of the future, which may say more', () => {
    expect(traceOf(`01-${TRACE}-00f067aa0ba902b7-01-more`)).toMatchObject({ trace_id: TRACE });
  });

  it.each([
    undefined,
    '',
    'x',
    ['a', 'b'],
    `ff-${TRACE}-00f067aa0ba902b7-01`,
    `00-${TRACE}-00f067aa0ba902b7-01-more`,
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    `00-${TRACE}-0000000000000000-01`,
    `00-${TRACE.toUpperCase()}-00f067aa0ba902b7-01`,
    `00-${TRACE}-00f067aa0ba902b7-01\r\nx: y`,
  ])('ignores %p', (header) => {
    expect(traceOf(header)).toEqual({});
  });
});
