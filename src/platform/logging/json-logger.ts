import type { LoggerService } from '@nestjs/common';
import { pino, type Logger, type LogFn } from 'pino';
import type { LogLevel } from '../../config/index.js';
import { logContext } from './log-context.js';
import type { Scrubber } from './scrubber.js';

const LONGEST_MESSAGE = 16_384;
/** Nest's own accounts of how it puts itself together. */
const WIRING = new Set(['InstanceLoader', 'NestApplication', 'NestFactory', 'RouterExplorer', 'RoutesResolver']);
type Write = (line: string) => void;

/**
 * Nest's logger as JSON lines on standard output, without secrets and without anything that could forge a line or drive
 * a terminal. Use it through Nest's `Logger`; an object given instead of a text becomes fields of the line.
 */
export class JsonLogger implements LoggerService {
  private readonly pino: Logger;

  constructor(
    level: LogLevel,
    private readonly scrubber: Scrubber,
    write: Write = standardOutput(),
  ) {
    this.pino = pino(
      {
        level,
        base: { pid: process.pid },
        messageKey: 'message',
        errorKey: 'error',
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        // pino writes the fields of the line into what it is given.
        mixin: () => ({ ...logContext() }),
        depthLimit: 6,
        edgeLimit: 100,
      },
      { write: (line: string) => write(scrubber.scrub(printable(line))) },
    );
  }

  log(message: unknown, ...rest: unknown[]): void {
    this.write(WIRING.has(String(rest.at(-1))) ? 'debug' : 'info', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.write('error', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('trace', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  /** Nest passes the context as the last text, and before it a stack or further values. */
  private write(
    level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal',
    message: unknown,
    rest: unknown[],
  ): void {
    const write: LogFn = this.pino[level].bind(this.pino);
    const fields: Record<string, unknown> = {};
    const last = rest.at(-1);
    if (typeof last === 'string') fields['context'] = last;
    for (const extra of typeof last === 'string' ? rest.slice(0, -1) : rest) {
      if (extra instanceof Error) fields['error'] = extra;
      else if (typeof extra === 'string') fields['stack'] = extra;
      else if (typeof extra === 'object' && extra !== null) Object.assign(fields, extra);
    }
    if (message instanceof Error) write({ ...fields, error: message }, this.cut(message.message));
    else if (typeof message === 'object' && message !== null) write({ ...message, ...fields });
    else write(fields, this.cut(String(message)));
  }

  /** Half a secret is not known as one, so secrets go before the cut. */
  private cut(text: string): string {
    if (text.length <= LONGEST_MESSAGE) return text;
    return `${this.scrubber.scrub(text).slice(0, LONGEST_MESSAGE)}… (${text.length} characters)`;
  }
}

/** JSON escapes C0 controls; the C1 ones and DEL, which terminals obey too, are escaped here. */
function printable(line: string): string {
  return line.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function standardOutput(): Write {
  const destination = pino.destination({ dest: 1, sync: true });
  // A reader that went away (EPIPE) must not end the service.
  destination.on('error', () => undefined);
  return (line) => {
    destination.write(line);
  };
}
