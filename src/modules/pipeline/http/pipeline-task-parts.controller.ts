import { Controller, Get, Query, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { linkNext, PageQueryDto, pageRequest, Problems, UuidParam } from '../../../platform/http/index.js';
import { CurrentPrincipal, RequiresKey, type Principal } from '../../auth/index.js';
import { PipelineViews } from '../views/pipeline-views.service.js';
import {
  PipelineArtifactDto,
  PipelineFindingDto,
  PipelineReviewDto,
  PipelineStageDto,
} from './pipeline-task-parts.dto.js';

@RequiresKey()
@ApiTags('pipeline')
@Controller('api/v1/pipeline/tasks/:id')
export class PipelineTaskPartsController {
  constructor(private readonly views: PipelineViews) {}

  /** Lists what the guardrail found, oldest first. */
  @Get('findings')
  @Problems('not_found')
  async findings(
    @CurrentPrincipal() principal: Principal,
    @UuidParam() id: string,
    @Query() query: PageQueryDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PipelineFindingDto[]> {
    const page = await this.views.findings(principal, id, pageRequest(query));
    linkNext(reply, page.next);
    return page.items.map((finding) => PipelineFindingDto.from(finding));
  }

  /** Lists the verdicts of code reviews, oldest first. */
  @Get('reviews')
  @Problems('not_found')
  async reviews(
    @CurrentPrincipal() principal: Principal,
    @UuidParam() id: string,
    @Query() query: PageQueryDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PipelineReviewDto[]> {
    const page = await this.views.reviews(principal, id, pageRequest(query));
    linkNext(reply, page.next);
    return page.items.map((review) => PipelineReviewDto.from(review));
  }

  /**
   * Lists what the stages produced, oldest first, contents in full; a page may end early when they are large, and its
   * `Link` says where the next one starts.
   */
  @Get('artifacts')
  @Problems('not_found')
  async artifacts(
    @CurrentPrincipal() principal: Principal,
    @UuidParam() id: string,
    @Query() query: PageQueryDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PipelineArtifactDto[]> {
    const page = await this.views.artifacts(principal, id, pageRequest(query));
    linkNext(reply, page.next);
    return page.items.map((artifact) => PipelineArtifactDto.from(artifact));
  }

  /** Lists the turns of the task's agents, oldest first. */
  @Get('stages')
  @Problems('not_found')
  async stages(
    @CurrentPrincipal() principal: Principal,
    @UuidParam() id: string,
    @Query() query: PageQueryDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PipelineStageDto[]> {
    const page = await this.views.stages(principal, id, pageRequest(query));
    linkNext(reply, page.next);
    return page.items.map((stage) => PipelineStageDto.from(stage));
  }
}
