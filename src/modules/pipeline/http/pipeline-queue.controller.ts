import { Controller, Delete, Get, HttpCode, Post, Query, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { linkNext, PageQueryDto, pageRequest, Problems, UuidParam } from '../../../platform/http/index.js';
import { RequiresAdmin, RequiresKey } from '../../auth/index.js';
import { TaskCommandsService } from '../commands/task-commands.service.js';
import { QueueViewsRepository } from '../views/queue-views.repository.js';
import { PipelineReaper } from '../worker/pipeline.reaper.js';
import { DeadLetterDto, PipelineQueueStatsDto, ReapedDto } from './pipeline-queue.dto.js';
import { MovedPipelineTaskDto } from './pipeline-task.dto.js';

@RequiresAdmin()
@ApiTags('pipeline')
@Controller('api/v1/pipeline')
export class PipelineQueueController {
  constructor(
    private readonly commands: TaskCommandsService,
    private readonly reaper: PipelineReaper,
    private readonly queue: QueueViewsRepository,
  ) {}

  /** The queue in figures. */
  @RequiresKey()
  @Get('queue-stats')
  async stats(): Promise<PipelineQueueStatsDto> {
    return PipelineQueueStatsDto.from(await this.queue.stats());
  }

  /** Lists tasks that failed for good without a person's word, newest first. */
  @Get('dead-letter')
  async deadLetters(
    @Query() query: PageQueryDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<DeadLetterDto[]> {
    const page = await this.queue.deadLetters(pageRequest(query));
    linkNext(reply, page.next);
    return page.items.map((letter) => DeadLetterDto.from(letter));
  }

  /** Puts a dead letter back into the queue; what its stages finished is kept. */
  @Post('dead-letter/:id/requeue')
  @HttpCode(200)
  @Problems('not_found', 'not_a_dead_letter')
  async requeue(@UuidParam() id: string): Promise<MovedPipelineTaskDto> {
    const { status } = await this.commands.requeue(id);
    return { task_id: id, status };
  }

  /** Discards a dead letter; the failed task stays. */
  @Delete('dead-letter/:id')
  @HttpCode(204)
  @Problems('not_found', 'not_a_dead_letter')
  async discard(@UuidParam() id: string): Promise<void> {
    await this.commands.discardDeadLetter(id);
  }

  /** Runs one pass of the reaper now. */
  @Post('reap-now')
  @HttpCode(200)
  async reapNow(): Promise<ReapedDto> {
    await this.reaper.pass();
    return { status: 'reaped' };
  }
}
