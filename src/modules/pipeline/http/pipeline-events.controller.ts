import { Controller, Get, Headers, Query, Res } from '@nestjs/common';
import { ApiExtraModels, ApiHeader, ApiOkResponse, getSchemaPath, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { DomainError } from '../../../platform/errors/index.js';
import {
  openEventStream,
  Problems,
  Sends,
  Streams,
  UuidParam,
  parseLastEventId,
  linkTo,
} from '../../../platform/http/index.js';
import { CurrentPrincipal, RequiresKey, StreamPlaces, type Principal } from '../../auth/index.js';
import { PipelineViews } from '../views/pipeline-views.service.js';
import { TaskEventsRepository } from '../views/task-events.repository.js';
import { NotificationFeed } from './notification-feed.js';
import { PipelineEventDto, PipelineNotificationDto } from './pipeline-event.dto.js';
import { ReadPipelineEventsDto } from './pipeline-queries.dto.js';
import { TaskEventFeed } from './task-event-feed.js';

@RequiresKey()
@ApiExtraModels(PipelineEventDto, PipelineNotificationDto)
@ApiTags('pipeline')
@Controller('api/v1/pipeline')
export class PipelineEventsController {
  constructor(
    private readonly views: PipelineViews,
    private readonly events: TaskEventsRepository,
    private readonly feed: TaskEventFeed,
    private readonly notifications: NotificationFeed,
    private readonly places: StreamPlaces,
  ) {}

  /**
   * Streams what happened to a task and what happens next, each event with its `seq` as id and its type as event, until
   * the task has ended. Resumes after `Last-Event-ID` or `after`. `wait=false` answers with an array of what is there.
   */
  @Get('tasks/:id/events')
  @ApiHeader({ name: 'Last-Event-ID', required: false, schema: { type: 'string', pattern: '^\\d{1,15}$' } })
  @ApiOkResponse({
    description: 'The events.',
    content: {
      'text/event-stream': { schema: { type: 'string' } },
      'application/json': { schema: { type: 'array', items: { $ref: getSchemaPath(PipelineEventDto) } } },
    },
  })
  @Sends('Link')
  @Problems('not_found')
  async follow(
    @CurrentPrincipal() principal: Principal,
    @UuidParam() id: string,
    @Query() query: ReadPipelineEventsDto,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const after = parseLastEventId(lastEventId) ?? query.after ?? 0;
    await this.views.access(principal, id);
    if (query.wait === false) return this.sendArray(id, after, query.limit ?? 1_000, reply);
    this.places.take(principal, reply);
    const stream = openEventStream(reply);
    for await (const events of this.feed.follow(id, after, stream.signal)) {
      for (const event of events) {
        stream.send({ id: event.seq, event: event.type, data: PipelineEventDto.from(event) });
        await stream.drained();
      }
    }
    stream.end();
  }

  /** Streams notifications about the caller's tasks from now on: the ends, gates, retries and recoveries of tasks. */
  @Get('notifications/stream')
  @Streams()
  @ApiOkResponse({
    description: 'Each event is a notification.',
    content: { 'text/event-stream': { schema: { $ref: getSchemaPath(PipelineNotificationDto) } } },
  })
  async notify(@CurrentPrincipal() principal: Principal, @Res() reply: FastifyReply): Promise<void> {
    const listener = await this.notifications.listen(this.views.ownersFor(principal));
    const stream = openEventStream(reply);
    for await (const notification of listener.notifications(stream.signal)) {
      stream.send({ data: PipelineNotificationDto.from(notification) });
      await stream.drained();
    }
    stream.end();
  }

  private async sendArray(id: string, after: number, limit: number, reply: FastifyReply): Promise<void> {
    const batch = await this.events.after(id, after, limit);
    if (batch === null) throw DomainError.notFound('task', id);
    const last = batch.events.at(-1);
    if (last !== undefined && batch.events.length === limit) {
      linkTo(reply, { after: String(last.seq) });
    }
    await reply.send(batch.events.map((event) => PipelineEventDto.from(event)));
  }
}
