import { ApiProperty, OmitType } from '@nestjs/swagger';
import { IsObject, IsOptional, IsString, Length } from 'class-validator';
import {
  IgnoresReadOnly,
  MaxCharacters,
  MaxJsonBytes,
  MayBeOmitted,
  PatchOf,
  TextList,
  WholeNumber,
  type PatchFields,
} from '../../platform/http/index.js';
import type { AgentConfig } from './agent.js';

const MOST_METADATA_BYTES = 16 * 1024;
const TOOL_NAMES = { maxItems: 200, maxLength: 200, pattern: /^[A-Za-z0-9_.:/-]+$/ };

/** How an agent answers, as it is shown. */
export class AgentConfigDto {
  name: string;
  system_prompt: string;
  /** The model it asks first; null while it names none and the service has no default. */
  model: string | null;
  /** Names or groups of tools it may use; null is all that are permitted, an empty list is none. */
  tools: string[] | null;
  memory_tiers: string[];
  /** Tokens of history that a model is sent at the most. */
  @ApiProperty({ type: 'integer' })
  max_context_tokens: number;
  /** Asked in order when the model fails before its first word. */
  fallback_models: string[];
  metadata: Record<string, unknown>;

  /** `defaultModel` is shown where the agent names none. */
  static from(config: AgentConfig, defaultModel: string | null): AgentConfigDto {
    return {
      name: config.name,
      system_prompt: config.systemPrompt,
      model: config.model ?? defaultModel,
      tools: config.tools,
      memory_tiers: config.memoryTiers,
      max_context_tokens: config.maxContextTokens,
      fallback_models: config.fallbackModels,
      metadata: config.metadata,
    };
  }
}

/** How a new agent shall answer. */
export class NewAgentConfigDto {
  @IsString()
  @Length(1, 100)
  @MaxCharacters(100)
  name: string;

  /** Stands before every conversation. */
  @MayBeOmitted()
  @IsString()
  @Length(0, 100_000)
  @MaxCharacters(100_000)
  system_prompt?: string = '';

  /** Null is the service's default model, whichever it is when the agent answers. */
  @IsOptional()
  @IsString()
  @Length(1, 200)
  model?: string | null = null;

  /** Names or groups of tools it may use; null is all that are permitted, an empty list is none. */
  @IsOptional()
  @TextList(TOOL_NAMES)
  tools?: string[] | null = null;

  /** Kept and shown; nothing uses it. */
  @MayBeOmitted()
  @TextList({ maxItems: 20, maxLength: 100 })
  memory_tiers?: string[] = [];

  /** Tokens of history that a model is sent at the most. */
  @MayBeOmitted()
  @WholeNumber(1, 10_000_000)
  max_context_tokens?: number = 8_192;

  /** Asked in order when the model fails before its first word. */
  @MayBeOmitted()
  @TextList({ maxItems: 10, maxLength: 200 })
  fallback_models?: string[] = [];

  /** At most 16 KiB of JSON. */
  @MayBeOmitted()
  @IsObject()
  @MaxJsonBytes(MOST_METADATA_BYTES)
  metadata?: Record<string, unknown> = {};

  toConfig(): AgentConfig {
    // Validated, so that the required field is there; the others have their defaults.
    return { ...configOf(this), memoryTiers: this.memory_tiers } as AgentConfig;
  }
}

/** Changes of an agent's configuration: fields that are left out stay as they are. */
@IgnoresReadOnly<AgentConfigDto>('memory_tiers')
export class UpdateAgentConfigDto extends PatchOf(OmitType(NewAgentConfigDto, ['memory_tiers'])) {
  toPatch(): Partial<AgentConfig> {
    return configOf(this);
  }
}

/** The settings that `fields` name; absent ones are undefined. */
function configOf(fields: Omit<PatchFields<NewAgentConfigDto>, 'memory_tiers'>): Partial<AgentConfig> {
  return {
    name: fields.name,
    systemPrompt: fields.system_prompt,
    model: fields.model,
    tools: fields.tools,
    maxContextTokens: fields.max_context_tokens,
    fallbackModels: fields.fallback_models,
    metadata: fields.metadata,
  };
}
