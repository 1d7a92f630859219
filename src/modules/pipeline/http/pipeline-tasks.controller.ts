import { Body, Controller, Delete, Get, Headers, HttpCode, Post, Query, Res } from '@nestjs/common';
import { ApiHeader, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { DomainError } from '../../../platform/errors/index.js';
import {
  BodyLimit,
  linkNext,
  pageRequest,
  parseMoment,
  Problems,
  Sends,
  UuidParam,
} from '../../../platform/http/index.js';
import { CurrentPrincipal, RequiresAdmin, RequiresCredential, RequiresKey, type Principal } from '../../auth/index.js';
import { ReviewService } from '../commands/review.service.js';
import { SubmitService } from '../commands/submit.service.js';
import { TaskCommandsService } from '../commands/task-commands.service.js';
import type { TaskFilter } from '../store/task-filter.repository.js';
import { isTerminal } from '../rules/task-status.js';
import { PipelineViews } from '../views/pipeline-views.service.js';
import { idempotencyOf } from '../../../platform/idempotency/index.js';
import { DeletePipelineTasksDto, ListPipelineTasksDto } from './pipeline-queries.dto.js';
import {
  DeletedPipelineTasksDto,
  ListedPipelineTaskDto,
  MovedPipelineTaskDto,
  PipelineTaskDetailDto,
  ReviewedPipelineTaskDto,
  SubmittedPipelineTaskDto,
} from './pipeline-task.dto.js';
import { ReviewPipelineTaskDto } from './review-pipeline-task.dto.js';
import { SubmitPipelineTaskDto } from './submit-pipeline-task.dto.js';

const SUBMISSION_BYTES = 4 * 1024 * 1024;

@RequiresKey()
@ApiTags('pipeline')
@Controller('api/v1/pipeline/tasks')
export class PipelineTasksController {
  constructor(
    private readonly submissions: SubmitService,
    private readonly reviews: ReviewService,
    private readonly commands: TaskCommandsService,
    private readonly views: PipelineViews,
  ) {}

  /** Submits a request to a pod; it is durable when this answers. With an Idempotency-Key, once. */
  @Post()
  @Sends('Location', 'Idempotency-Replayed')
  @HttpCode(202)
  @BodyLimit(SUBMISSION_BYTES)
  @ApiHeader({ name: 'Idempotency-Key', required: false, schema: { type: 'string', minLength: 1, maxLength: 255 } })
  @Problems(
    'not_found',
    'pod_disabled',
    'conflict',
    'idempotency_in_flight',
    'idempotency_key_reused',
    'forbidden',
    'model_not_allowed',
    'sandbox_not_allowed',
    'price_unknown',
    'no_model',
    'quota_exceeded',
    'storage_full',
  )
  async create(
    @CurrentPrincipal() principal: Principal,
    @Body() body: SubmitPipelineTaskDto,
    @Headers('idempotency-key') key: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SubmittedPipelineTaskDto> {
    const idempotency = idempotencyOf(key, body);
    const submitted = await this.submissions.submit(principal, {
      userInput: body.user_input,
      metadata: body.metadata ?? {},
      maxRetries: body.max_retries ?? 2,
      priority: body.priority ?? 5,
      ...(body.pod_id !== undefined && { podId: body.pod_id.toLowerCase() }),
      ...(body.pod_name !== undefined && { podName: body.pod_name }),
      ...(idempotency && { idempotency }),
    });
    const status = submitted.replayed ? (await this.views.access(principal, submitted.taskId)).status : 'queued';
    void reply.header('location', `/api/v1/pipeline/tasks/${submitted.taskId}`);
    if (submitted.replayed) void reply.header('idempotency-replayed', 'true');
    return { task_id: submitted.taskId, status, pod_name: submitted.podName, queued_at: submitted.queuedAt };
  }

  /** Lists the caller's tasks, newest first. */
  @Get()
  async list(
    @CurrentPrincipal() principal: Principal,
    @Query() query: ListPipelineTasksDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ListedPipelineTaskDto[]> {
    const page = await this.views.list(principal, filterOf(query), pageRequest(query));
    linkNext(reply, page.next);
    return page.items.map((task) => ListedPipelineTaskDto.from(task));
  }

  /** Deletes every ended task in the given statuses that the filters name, whoever made it, with all that belongs to it. */
  @RequiresAdmin()
  @Delete()
  @Problems('not_terminal_status')
  async deleteEnded(@Query() query: DeletePipelineTasksDto): Promise<DeletedPipelineTasksDto> {
    const live = query.status.filter((status) => !isTerminal(status));
    if (live.length > 0) {
      throw new DomainError('not_terminal_status', `Tasks that are ${live.join(' or ')} have not ended.`);
    }
    return { deleted: await this.commands.deleteEnded(filterOf(query)), statuses: query.status };
  }

  /** Shows a task and where it stands. */
  @Get(':id')
  @Problems('not_found')
  async get(@CurrentPrincipal() principal: Principal, @UuidParam() id: string): Promise<PipelineTaskDetailDto> {
    return PipelineTaskDetailDto.from(await this.views.get(principal, id));
  }

  /** Cancels a task that has not ended; its work stops. */
  @Post(':id/cancel')
  @HttpCode(200)
  @Problems('not_found', 'task_terminal')
  async cancel(@CurrentPrincipal() principal: Principal, @UuidParam() id: string): Promise<MovedPipelineTaskDto> {
    await this.commands.cancel(principal, id);
    return { task_id: id, status: 'cancelled' };
  }

  /** Decides the open gate, once. Always needs a credential: decisions are never anonymous. */
  @RequiresCredential()
  @Post(':id/review')
  @HttpCode(200)
  @Problems('not_found', 'forbidden', 'no_open_gate', 'gate_stale', 'content_changed')
  async review(
    @CurrentPrincipal() principal: Principal,
    @UuidParam() id: string,
    @Body() body: ReviewPipelineTaskDto,
  ): Promise<ReviewedPipelineTaskDto> {
    const { status } = await this.reviews.review(principal, id, {
      decision: body.decision,
      ...(body.comment !== undefined && { comment: body.comment }),
      ...(body.gate_id !== undefined && { gateId: body.gate_id.toLowerCase() }),
      ...(body.content_hash !== undefined && { contentHash: body.content_hash }),
    });
    return { task_id: id, status, decision: body.decision };
  }

  /** Deletes a task that has ended, with all that belongs to it. */
  @Delete(':id')
  @HttpCode(204)
  @Problems('not_found', 'task_not_terminal')
  async delete(@CurrentPrincipal() principal: Principal, @UuidParam() id: string): Promise<void> {
    await this.commands.delete(principal, id);
  }
}

function filterOf(query: ListPipelineTasksDto | DeletePipelineTasksDto): TaskFilter {
  return {
    statuses: query.status,
    podId: query.pod_id,
    podName: query.pod_name,
    createdAfter: parseMoment(query.created_after ?? '') ?? undefined,
    createdBefore: parseMoment(query.created_before ?? '') ?? undefined,
  };
}
