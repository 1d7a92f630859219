import { Logger } from '@nestjs/common';
import type { Clock } from '../../platform/clock/index.js';
import { hideShapes, SecretCover } from '../../platform/logging/index.js';
import { failureReason } from './failure-reason.js';
import type { McpServer } from './mcp-server.js';
import { secretValues } from './secrets.js';
import { visibleText } from './tools/tool-definition.js';
import type { Line } from './transports/transport-factory.js';

/** Of a server's standard error, into the log. */
const LOG_LINES_A_MINUTE = 200;

/** What one server says, without its secrets. */
export class Redactor {
  private readonly logger = new Logger('Mcp');
  private readonly cover: SecretCover;
  private window = { since: 0, lines: 0 };

  constructor(
    private readonly server: McpServer,
    private readonly clock: Clock,
  ) {
    this.cover = new SecretCover(secretValues(server));
  }

  /** All of `text` but the secrets. */
  hide(text: string): string {
    return this.cover.hide(text);
  }

  /** `text` for people, in one line and cut. */
  clean(text: string): string {
    return visibleText(hideShapes(this.hide(text)).replace(/\s*\n\s*/g, ' '));
  }

  reason(error: unknown): string {
    const deadline = error instanceof Error && error.name === 'TimeoutError';
    return this.clean(deadline ? 'it did not answer in time' : failureReason(error));
  }

  /** Logs a line of its standard error, unless there were too many in this minute. */
  log(line: Line): void {
    const now = this.clock.monotonicMs();
    if (now - this.window.since > 60_000) this.window = { since: now, lines: 0 };
    this.window.lines += 1;
    if (this.window.lines > LOG_LINES_A_MINUTE + 1) return;
    const tooMany = this.window.lines > LOG_LINES_A_MINUTE;
    const message = tooMany ? '(more than the log takes in a minute)' : visibleText(this.hide(line));
    this.logger.log({ message, mcp_server: this.server.name });
  }
}
