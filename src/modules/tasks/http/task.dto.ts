import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { ArrayMaxSize, ArrayMinSize, IsArray, IsIn, IsObject, IsUUID, Matches, ValidateNested } from 'class-validator';
import { MaxJsonBytes, MayBeOmitted } from '../../../platform/http/index.js';
import { MessageDto } from './message.dto.js';
import { TURN_STATUSES, type Turn } from '../turn.js';

const TASK_TYPES = ['chat', 'tool_use', 'memory_consolidation'] as const;
const MOST_METADATA_BYTES = 16 * 1024;

/** Fields common to all requests to an agent. */
export class ConversationDto {
  /** The conversation so far; its last message is what the agent answers. */
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(1_000)
  @ValidateNested({ each: true })
  @Type(() => MessageDto)
  messages: MessageDto[];

  /** Echoed in `X-Session-Id`; made up when left out. */
  @MayBeOmitted()
  @Matches(/^[\x21-\x7e]{1,128}$/, { message: 'session_id must be 1 to 128 printable characters without spaces' })
  session_id?: string;

  /** Kept with the turn, at most 16 KiB of JSON. */
  @MayBeOmitted()
  @IsObject()
  @MaxJsonBytes(MOST_METADATA_BYTES)
  metadata?: Record<string, unknown>;
}

/** A question to an agent. */
export class CreateTaskDto extends ConversationDto {
  @IsUUID('loose')
  agent_id: string;

  /** Kept with the turn; every type is answered alike. */
  @MayBeOmitted()
  @IsIn(TASK_TYPES)
  task_type?: (typeof TASK_TYPES)[number];
}

/** A tool call that the turn made. */
export class TaskToolCallDto {
  id: string;
  name: string;
  /** The parsed arguments, or the text where it is no JSON. */
  @ApiProperty({
    anyOf: [
      { type: 'object', additionalProperties: true },
      { type: 'array', items: {} },
      { type: 'string' },
      { type: 'number' },
      { type: 'boolean' },
      { type: 'null' },
    ],
  })
  arguments: unknown;
  result: string;
  is_error: boolean;
  @ApiProperty({ type: 'integer' })
  duration_ms: number;
}

/** Why a turn did not complete. */
export class TaskErrorDto {
  code: string;
  /** A sentence for people. */
  message: string;
}

/** One turn of an agent. */
export class TaskResultDto {
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  @ApiProperty({ format: 'uuid' })
  agent_id: string;
  /** Whether the turn has ended, and how. */
  @ApiProperty({ enum: TURN_STATUSES })
  status: (typeof TURN_STATUSES)[number];
  /**
   * All words of the agent, as its stream has them; null while there are none. At the end the service names the files that were not
   * brought into the workspace, which had versions of its own.
   */
  response: string | null;
  /** In the order in which the model asked for them. */
  tool_calls: TaskToolCallDto[];
  error: TaskErrorDto | null;
  model: string | null;
  started_at: Date;
  completed_at: Date | null;
  /** Of every model call of the turn. */
  @ApiProperty({ type: 'integer' })
  input_tokens: number;
  /** Of the input tokens, those that a provider read from its cache. */
  @ApiProperty({ type: 'integer' })
  cached_input_tokens: number;
  @ApiProperty({ type: 'integer' })
  output_tokens: number;
  /** Null when the price of a model is not known. */
  cost_usd: number | null;

  static from(turn: Turn): TaskResultDto {
    return {
      task_id: turn.id,
      agent_id: turn.agentId,
      status: turn.status,
      response: turn.response,
      tool_calls: turn.toolCalls.map((call) => ({
        id: call.id,
        name: call.name,
        arguments: call.arguments,
        result: call.result,
        is_error: call.isError,
        duration_ms: call.durationMs,
      })),
      error: turn.error,
      model: turn.model,
      started_at: turn.startedAt,
      completed_at: turn.completedAt,
      input_tokens: turn.inputTokens,
      cached_input_tokens: turn.cachedInputTokens,
      output_tokens: turn.outputTokens,
      cost_usd: turn.costUsd,
    };
  }
}
