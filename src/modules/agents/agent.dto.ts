import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsDefined, IsIn, IsObject, IsString, MaxLength, ValidateNested } from 'class-validator';
import { cutForList, MayBeOmitted, PageQueryDto } from '../../platform/http/index.js';
import { LeftOutToolsDto, type OfferedTools } from '../tools/index.js';
import { AgentConfigDto, NewAgentConfigDto } from './agent-config.dto.js';
import { AGENT_STATUSES, type Agent, type AgentStatus } from './agent.js';

/** Somebody who answers: a model with instructions and tools. Agents are shared by all callers. */
export class AgentDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  config: AgentConfigDto;
  /** `running` while one of its turns is under way. */
  @ApiProperty({ enum: AGENT_STATUSES })
  status: AgentStatus;
  created_at: Date;
  updated_at: Date;
  /** About when it last answered. */
  last_active: Date | null;
  /** Tools that its model is not shown from the first; absent when it is shown all, and in lists. */
  tools_left_out?: LeftOutToolsDto | undefined;

  static from(agent: Agent, defaultModel: string | null, shelf?: OfferedTools): AgentDto {
    return {
      id: agent.id,
      config: AgentConfigDto.from(agent.config, defaultModel),
      status: agent.status,
      created_at: agent.createdAt,
      updated_at: agent.updatedAt,
      last_active: agent.lastActiveAt,
      tools_left_out: shelf && LeftOutToolsDto.from(shelf),
    };
  }
}

/** An agent in a list, where long texts are cut. */
export class ListedAgentDto extends AgentDto {
  /** Fields whose text was cut. */
  truncated: string[];

  static override from(agent: Agent, defaultModel: string | null): ListedAgentDto {
    const whole = AgentDto.from(agent, defaultModel);
    const { truncated, ...config } = cutForList(whole.config, ['system_prompt']);
    return Object.assign(whole, { config, truncated: truncated.map((field) => `config.${field}`) });
  }
}

/** A new agent. */
export class CreateAgentDto {
  @IsDefined()
  @IsObject()
  @ValidateNested()
  @Type(() => NewAgentConfigDto)
  config: NewAgentConfigDto;
}

/** Which agents to list. */
export class ListAgentsDto extends PageQueryDto {
  @MayBeOmitted()
  @IsIn(AGENT_STATUSES)
  @ApiProperty({ enum: AGENT_STATUSES })
  status?: AgentStatus;

  /** The whole name. */
  @MayBeOmitted()
  @IsString()
  @MaxLength(200)
  name?: string;
}
