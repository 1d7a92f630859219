import { basename } from 'node:path/posix';
import { Controller, Get, Param, Query, Res } from '@nestjs/common';
import { ApiParam, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { DomainError } from '../../../platform/errors/index.js';
import {
  Attaches,
  linkAfterName,
  namePage,
  PageQueryDto,
  Problems,
  sendAttachment,
  UuidParam,
} from '../../../platform/http/index.js';
import { isUuid } from '../../../platform/paging/index.js';
import { CurrentPrincipal, RequiresKey, type Principal } from '../../auth/index.js';
import type { Side } from '../../tools/index.js';
import { TaskChanges } from '../views/task-changes.service.js';
import { PipelineChangeDto, ReadPipelineChangeDto } from './pipeline-changes.dto.js';

const SIDES: readonly Side[] = ['before', 'after'];

/** Why the changes of a task, or one of them, may not be read. */
const UNREADABLE = [
  'not_found',
  'forbidden',
  'gone',
  'tree_unavailable',
  'content_changed',
  'workspace_too_large',
  'workspace_unreadable',
] as const;

@RequiresKey()
@ApiTags('pipeline')
@Controller('api/v1/pipeline/tasks/:id/changes')
export class PipelineChangesController {
  constructor(private readonly taskChanges: TaskChanges) {}

  /**
   * Lists the files that the task has changed, in the order of their paths, for those who may review it. A page may end early
   * when the files are large, and its `Link` says where the next one starts. Of a task that has ended, the list is the one of its
   * last gate, or of its completion.
   */
  @Get()
  @Problems(...UNREADABLE)
  async changes(
    @CurrentPrincipal() principal: Principal,
    @UuidParam() id: string,
    @Query() query: PageQueryDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PipelineChangeDto[]> {
    const { limit, offset, afterName } = namePage(query, isUuid);
    const page = await this.taskChanges.list(principal, id, { limit, offset, after: afterName });
    if (page.next !== null) linkAfterName(reply, page.next);
    return page.items.map((change) => PipelineChangeDto.from(change));
  }

  /** Sends a changed file as it was when the task began, or as the task leaves it, to those who may review the task. */
  @Get(':change_id/:side')
  @ApiParam({ name: 'side', enum: [...SIDES] })
  @Attaches()
  @Problems(...UNREADABLE, 'range_not_satisfiable')
  async version(
    @CurrentPrincipal() principal: Principal,
    @UuidParam() id: string,
    @UuidParam('change_id') changeId: string,
    @Param('side') side: string,
    @Query() { content_hash: contentHash }: ReadPipelineChangeDto,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if (!isSide(side)) throw new DomainError('not_found', 'A changed file has the versions "before" and "after".');
    const { content, path, sha256 } = await this.taskChanges.open(principal, id, { changeId, side, contentHash });
    await sendAttachment(reply, {
      name: basename(path),
      sha256,
      size: content.size,
      read: (start, end) => content.read(start, end),
      close: () => content.close(),
    });
  }
}

function isSide(side: string): side is Side {
  return SIDES.includes(side as Side);
}
