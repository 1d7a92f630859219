import { Body, Controller, Get, Headers, HttpCode, Post, Res } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { AppConfig } from '../../../config/index.js';
import { Clock } from '../../../platform/clock/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import {
  openEventStream,
  Problems,
  Sends,
  Streams,
  UuidParam,
  parseLastEventId,
} from '../../../platform/http/index.js';
import { idempotencyOf } from '../../../platform/idempotency/index.js';
import { CurrentPrincipal, ownerOf, RequiresKey, type Principal } from '../../auth/index.js';
import { promptOf } from '../prompt.js';
import { preferencesOf } from './prefer-header.js';
import { CreateTaskDto, TaskResultDto } from './task.dto.js';
import { TurnFeed } from '../stream/turn-feed.js';
import { sendTold, streamTurn } from '../stream/turn-stream.js';
import type { TurnRequest } from '../turn.js';
import { TurnsService } from '../turns.service.js';

const PREFER = { name: 'Prefer', required: false, schema: { type: 'string' as const, maxLength: 16_384 } };
const STREAM = {
  description:
    'Each `data:` is `{"status":{step,state,…}}`, `{"t":"<text>"}`, `{"error":"<message>"}` or, last, `[DONE]`.',
  content: { 'text/event-stream': { schema: { type: 'string' as const } } },
};

@RequiresKey()
@ApiTags('tasks')
@Controller('api/v1/tasks')
export class TasksController {
  constructor(
    private readonly config: AppConfig,
    private readonly clock: Clock,
    private readonly turns: TurnsService,
    private readonly feed: TurnFeed,
  ) {}

  /**
   * Asks an agent and answers when its turn has ended, or with the turn as it is then once `Prefer: wait=<seconds>` or the
   * server's own limit has passed. A failed model is a failed turn, not an error of this request.
   */
  @Post()
  @HttpCode(202)
  @Sends('Location', 'Idempotency-Replayed')
  @ApiHeader(PREFER)
  @ApiHeader({ name: 'Idempotency-Key', required: false, schema: { type: 'string', minLength: 1, maxLength: 255 } })
  @Problems(
    'not_found',
    'agent_stopped',
    'no_model',
    'idempotency_in_flight',
    'idempotency_key_reused',
    'draining',
    'quota_exceeded',
    'storage_full',
  )
  async create(
    @CurrentPrincipal() principal: Principal,
    @Body() body: CreateTaskDto,
    @Headers('prefer') prefer: string | undefined,
    @Headers('idempotency-key') key: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<TaskResultDto> {
    const { waitSeconds, respondAsync } = preferencesOf(prefer);
    const limit = this.config.http.syncWaitSeconds;
    const waitMs = Math.min(waitSeconds ?? (respondAsync ? 0 : limit), limit) * 1_000;
    const started = await this.turns.start(body.agent_id.toLowerCase(), {
      ...this.requestOf(principal, body),
      origin: 'task',
      answerWithinMs: waitMs,
      needsReaders: false,
      idempotency: idempotencyOf(key, body),
    });
    if ('replayedId' in started) return this.replay(principal, started.replayedId, reply);
    const { id, done } = started.turn;
    void reply.header('location', locationOf(id));
    const waited = new AbortController();
    await Promise.race([done, this.clock.sleep(waitMs, waited.signal)]);
    waited.abort();
    return TaskResultDto.from(await this.turns.get(principal, id));
  }

  /**
   * Asks an agent and streams its answer. A second after the last reader has gone the turn is cancelled, unless it was asked
   * for with `Prefer: respond-async`.
   */
  @Post('stream')
  @Streams()
  @HttpCode(200)
  @Sends('X-Task-Id', 'X-Session-Id')
  @ApiHeader(PREFER)
  @ApiProduces('text/event-stream')
  @ApiOkResponse(STREAM)
  @Problems('not_found', 'agent_stopped', 'no_model', 'draining', 'quota_exceeded', 'storage_full')
  async stream(
    @CurrentPrincipal() principal: Principal,
    @Body() body: CreateTaskDto,
    @Headers('prefer') prefer: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const request = this.requestOf(principal, body);
    const started = await this.turns.start(body.agent_id.toLowerCase(), {
      ...request,
      origin: 'stream',
      answerWithinMs: 0,
      needsReaders: !preferencesOf(prefer).respondAsync,
    });
    if ('turn' in started) await streamTurn(reply, started.turn, request.sessionId);
  }

  /** Shows a turn, streamed ones too. */
  @Get(':id')
  @Problems('not_found')
  async get(@CurrentPrincipal() principal: Principal, @UuidParam() id: string): Promise<TaskResultDto> {
    return TaskResultDto.from(await this.turns.get(principal, id));
  }

  /** Cancels a running turn; what was said so far is kept. */
  @Post(':id/cancel')
  @HttpCode(200)
  @Problems('not_found', 'turn_ended')
  async cancel(@CurrentPrincipal() principal: Principal, @UuidParam() id: string): Promise<TaskResultDto> {
    return TaskResultDto.from(await this.turns.cancel(principal, id));
  }

  /**
   * Streams what a turn has told since `Last-Event-ID` and what it tells next, each event with its number as id. A reader
   * whose id is no longer kept gets `{"reset":true}` and all words so far as one `t` first.
   */
  @Get(':id/events')
  @Streams()
  @ApiHeader({ name: 'Last-Event-ID', required: false, schema: { type: 'string', pattern: '^\\d{1,15}$' } })
  @ApiOkResponse(STREAM)
  @Problems('not_found')
  async events(
    @CurrentPrincipal() principal: Principal,
    @UuidParam() id: string,
    @Headers('last-event-id') lastEventId: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const after = parseLastEventId(lastEventId) ?? 0;
    const turn = await this.turns.getHead(principal, id);
    const stream = openEventStream(reply);
    for await (const told of this.feed.follow(turn, after, stream.signal)) await sendTold(stream, told);
    stream.end();
  }

  private requestOf(
    principal: Principal,
    body: CreateTaskDto,
  ): Pick<TurnRequest, 'owner' | 'prompt' | 'taskType' | 'metadata'> & { sessionId: string } {
    return {
      owner: ownerOf(principal),
      prompt: promptOf(body.messages),
      sessionId: body.session_id ?? this.clock.newId(),
      taskType: body.task_type ?? null,
      metadata: body.metadata ?? {},
    };
  }

  /** The turn that an Idempotency-Key names, as it is now. */
  private async replay(principal: Principal, id: string, reply: FastifyReply): Promise<TaskResultDto> {
    const turn = await this.turns.get(principal, id);
    if (turn.isAwaited) {
      throw new DomainError('idempotency_in_flight', 'The first request with this Idempotency-Key has no answer yet.', {
        headers: { location: locationOf(id) },
      });
    }
    void reply.header('location', locationOf(id));
    void reply.header('idempotency-replayed', 'true');
    return TaskResultDto.from(turn);
  }
}

function locationOf(id: string): string {
  return `/api/v1/tasks/${id}`;
}
