import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { AppConfig } from '../../config/index.js';
import { linkNext, pageRequest, Problems, Sends, UuidParam } from '../../platform/http/index.js';
import { pageOf } from '../../platform/paging/index.js';
import { CurrentPrincipal, ownerOf, RequiresAdmin, RequiresKey, type Principal } from '../auth/index.js';
import { LlmService } from '../llm/index.js';
import { OfferedTools, ToolRegistry } from '../tools/index.js';
import { UpdateAgentConfigDto } from './agent-config.dto.js';
import { AgentDto, CreateAgentDto, ListAgentsDto, ListedAgentDto } from './agent.dto.js';
import type { Agent } from './agent.js';
import { AgentsService } from './agents.service.js';

@RequiresKey()
@ApiTags('agents')
@Controller('api/v1/agents')
export class AgentsController {
  constructor(
    private readonly agents: AgentsService,
    private readonly llm: LlmService,
    private readonly tools: ToolRegistry,
    private readonly app: AppConfig,
  ) {}

  /** Makes an agent. */
  @Post()
  @Sends('Location')
  @Problems('model_not_allowed', 'quota_exceeded')
  async create(
    @CurrentPrincipal() principal: Principal,
    @Body() body: CreateAgentDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<AgentDto> {
    const agent = await this.agents.create(body.config.toConfig(), {
      anyModel: principal.kind === 'admin',
      owner: ownerOf(principal),
    });
    void reply.header('location', `/api/v1/agents/${agent.id}`);
    return this.shown(agent);
  }

  /** Lists the agents, oldest first. */
  @Get()
  async list(
    @Query() query: ListAgentsDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ListedAgentDto[]> {
    const wanted = pageRequest(query);
    const [agents, defaultModel] = await Promise.all([this.agents.list(wanted, query), this.llm.defaultModel()]);
    const page = pageOf(
      agents,
      wanted.limit,
      (agent) => ({ at: agent.createdAt.toISOString(), id: agent.id }),
      (agent) => ListedAgentDto.from(agent, defaultModel),
    );
    linkNext(reply, page.next);
    return page.items;
  }

  /** Shows an agent and what it is doing. */
  @Get(':id')
  @Problems('not_found')
  async get(@UuidParam() id: string): Promise<AgentDto> {
    return this.shown(await this.agents.get(id));
  }

  /** Changes how an agent answers from its next turn on. */
  @RequiresAdmin()
  @Patch(':id/config')
  @Problems('not_found')
  async updateConfig(@UuidParam() id: string, @Body() body: UpdateAgentConfigDto): Promise<AgentDto> {
    return this.shown(await this.agents.updateConfig(id, body.toPatch()));
  }

  /** Deletes an agent; turns that it is running are cancelled, and results stay readable. */
  @Delete(':id')
  @HttpCode(204)
  @Problems('not_found', 'canonical_agent')
  async delete(@UuidParam() id: string): Promise<void> {
    await this.agents.delete(id);
  }

  private async shown(agent: Agent): Promise<AgentDto> {
    const { tools, maxContextTokens } = agent.config;
    const shelf = new OfferedTools(this.tools.offered(tools, this.app.sandbox), maxContextTokens);
    return AgentDto.from(agent, await this.llm.defaultModel(), shelf);
  }
}
