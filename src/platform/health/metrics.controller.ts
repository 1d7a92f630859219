import { Controller, Get, Res } from '@nestjs/common';
import { ApiOkResponse } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { RequiresOperator } from '../http/index.js';
import { Metrics } from '../telemetry/index.js';

@RequiresOperator()
@Controller('metrics')
export class MetricsController {
  constructor(private readonly metrics: Metrics) {}

  /** Prometheus metrics, for the admin and for callers on this machine. */
  @Get()
  @ApiOkResponse({ content: { 'text/plain': { schema: { type: 'string' } } } })
  async read(@Res({ passthrough: true }) reply: FastifyReply): Promise<unknown> {
    void reply.type(this.metrics.registry.contentType);
    return await this.metrics.registry.metrics();
  }
}
