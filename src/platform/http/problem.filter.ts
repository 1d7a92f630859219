import { Catch, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ERRORS } from '../errors/index.js';
import { sendProblem, toDomainError } from './problem.js';

/** Turns whatever a route throws into problem details. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Http');

  catch(thrown: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const error = toDomainError(thrown);
    const { status } = ERRORS[error.code];
    if (error.code === 'internal')
      this.logger.error({ message: 'A request failed for a fault of ours', error: error.cause ?? error });
    else if (status >= 500) this.logger.warn({ message: error.detail, code: error.code, error: error.cause });
    if (reply.sent || reply.raw.headersSent) {
      // A stream that was under way cannot become another answer; cutting it tells the reader that it is not whole.
      reply.raw.destroy();
      return;
    }
    sendProblem(request, reply, error);
  }
}
