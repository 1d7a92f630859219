import { describe, expect, it } from '@jest/globals';
import { JsonLogger } from './json-logger.js';
import { withLogContext } from './log-context.js';
import { Scrubber } from './scrubber.js';

function setup(level: 'debug' | 'info' | 'warn' = 'info'): {
  logger: JsonLogger;
  lines: () => Record<string, unknown>[];
  raw: string[];
} {
  const raw: string[] = [];
  const scrubber = new Scrubber();
  scrubber.keep('canary-secret');
  return {
    logger: new JsonLogger(level, scrubber, (line) => raw.push(line)),
    lines: () => raw.map((line) => JSON.parse(line) as Record<string, unknown>),
    raw,
  };
}

describe('the logger', () => {
  it('writes one JSON line with level, time, context and the fields of the present work', () => {
    const { logger, lines } = setup();
    withLogContext({ request_id: 'r-1', trace_id: 't-1' }, () => logger.log('hello', 'Http'));
    expect(lines()).toEqual([
      {
        level: 'info',
        time: expect.any(String),
        pid: process.pid,
        request_id: 'r-1',
        trace_id: 't-1',
        context: 'Http',
        message: 'hello',
      },
    ]);
  });

  it('keeps the fields of a line out of the next one', () => {
    const { logger, lines, raw } = setup();
    withLogContext({ request_id: 'r-1' }, () => {
      logger.warn({ message: 'first', error_code: 'x' }, 'A');
      logger.log('second');
    });
    expect(lines()[1]).toEqual({
      level: 'info',
      time: expect.any(String),
      pid: process.pid,
      request_id: 'r-1',
      message: 'second',
    });
    expect(raw[1]?.match(/"message":/g)).toHaveLength(1);
  });

  it('hides secrets wherever they are: text, fields, errors', () => {
    const { logger, raw } = setup('debug');
    logger.log('canary-secret', 'A');
    logger.log(
      { message: 'x', deep: { list: ['canary-secret'] }, headers: { authorization: 'Bearer whatever-it-is' } },
      'A',
    );
    logger.error(new Error('at postgres://u:canary-secret@h'), 'A');
    logger.error('x', 'stack with canary-secret', 'A');
    logger.debug({ message: 'x', error: new Error('y', { cause: new Error('canary-secret') }) }, 'A');
    expect(raw).toHaveLength(5);
    expect(raw.join('')).not.toMatch(/canary-secret|whatever-it-is/);
  });

  it('lets no text forge a line or reach a terminal', () => {
    const { logger, raw } = setup();
    logger.log('a\r\n{"level":"fatal"}\u001b[31m\u009b31m\u2028\u007f', 'A');
    expect(raw).toHaveLength(1);
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(raw[0]?.replace(/\n$/, '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028]/);
    expect(JSON.parse(raw[0] ?? '')).toMatchObject({
      message: 'a\r\n{"level":"fatal"}\u001b[31m\u009b31m\u2028\u007f',
    });
  });

  it('obeys its level and cuts what is too long', () => {
    const { logger, lines } = setup('warn');
    logger.log('no', 'A');
    logger.debug('no', 'A');
    logger.warn('x'.repeat(100_000), 'A');
    expect(lines()).toHaveLength(1);
    expect(String(lines()[0]?.['message']).length).toBeLessThan(17_000);
    logger.warn(`${'x'.repeat(16_384 - 8)}canary-secret ${'x'.repeat(100)}`, 'A');
    expect(lines()[1]?.['message']).not.toContain('xcan');
  });

  it('survives values that cannot be written', () => {
    const { logger, lines } = setup();
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    const nasty = {
      get boom(): string {
        throw new Error('no');
      },
    };
    expect(() => logger.log({ message: 'x', circle }, 'A')).not.toThrow();
    expect(() => logger.log({ message: 'y', nasty }, 'A')).not.toThrow();
    expect(lines().length).toBeGreaterThan(0);
  });
});
