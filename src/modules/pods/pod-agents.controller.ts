import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query } from '@nestjs/common';
import { cutForList, Problems, RequiresAdmin, RequiresKey, UuidParam } from '../../platform/http/index.js';
import { ToolRegistry } from '../tools/index.js';
import { CreatePodAgentDto } from './create-pod-agent.dto.js';
import { ListedPodAgentDto, PodAgentDto } from './pod-agent.dto.js';
import { PodAgentPageDto } from './pod-page.dto.js';
import { PodsService } from './pods.service.js';
import { shelvesOf } from './stage-tools.js';
import { UpdatePodAgentDto } from './update-pod-agent.dto.js';

@Controller('api/v1/pods/:id/agents')
export class PodAgentsController {
  constructor(
    private readonly pods: PodsService,
    private readonly tools: ToolRegistry,
  ) {}

  /** Lists the agents of a pod by position; the pod itself has their texts whole. */
  @RequiresKey()
  @Problems('not_found')
  @Get()
  async list(@UuidParam() id: string, @Query() query: PodAgentPageDto): Promise<ListedPodAgentDto[]> {
    const pod = await this.pods.get(id);
    const shelves = shelvesOf(pod, this.tools);
    const { limit = 50, offset = 0 } = query;
    return pod.agents
      .slice(offset, offset + limit)
      .map((agent) => cutForList(PodAgentDto.from(agent, shelves.get(agent.id)), ['system_prompt']));
  }

  /** Adds an agent to a pod. */
  @RequiresAdmin()
  @Problems('not_found', 'position_taken', 'role_taken')
  @Post()
  async create(@UuidParam() id: string, @Body() body: CreatePodAgentDto): Promise<PodAgentDto> {
    return PodAgentDto.from(await this.pods.addAgent(id, body.toSettings()));
  }

  /** Changes an agent for the tasks submitted from now on. */
  @RequiresAdmin()
  @Problems('not_found', 'position_taken', 'role_taken')
  @Patch(':aid')
  async update(
    @UuidParam() id: string,
    @UuidParam('aid') aid: string,
    @Body() body: UpdatePodAgentDto,
  ): Promise<PodAgentDto> {
    return PodAgentDto.from(await this.pods.updateAgent(id, aid, body.toPatch()));
  }

  /** Takes an agent out of a pod; refused where those left would then run together and may not. */
  @RequiresAdmin()
  @Problems('not_found', 'conflict')
  @HttpCode(204)
  @Delete(':aid')
  async delete(@UuidParam() id: string, @UuidParam('aid') aid: string): Promise<void> {
    await this.pods.deleteAgent(id, aid);
  }
}
