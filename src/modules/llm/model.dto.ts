import { ApiProperty } from '@nestjs/swagger';
import { IsString, Length } from 'class-validator';
import { MayBeOmitted } from '../../platform/http/index.js';
import type { LearntOption } from './learnt-options.repository.js';
import type { OfferedModel } from './offered-models.js';

/** A parameter that a model's endpoint refused. */
export class LearntOptionDto {
  parameter: string;
  /** The parameter that is sent in its place; null where nothing is. */
  instead: string | null;
  learnt_at: Date;
  /** When it is tried again. */
  expires_at: Date;

  static from(option: LearntOption): LearntOptionDto {
    return {
      parameter: option.parameter,
      instead: option.instead,
      learnt_at: option.learntAt,
      expires_at: option.expiresAt,
    };
  }
}

/** What a model is asked otherwise than usual. */
export class ModelOptionsDto {
  /** Parameters that are not sent, by `MODEL_OPTIONS` or since the endpoint refused them. */
  not_sent: string[];
  /** The parameter that limits an answer. */
  max_tokens_name: string;
  /** Whether a schema is sent in calls that offer tools too. */
  response_format_with_tools: boolean;
  /** Tokens that an answer has at the most, by `MODEL_OPTIONS`. */
  @ApiProperty({ type: 'integer' })
  max_output: number | null;
  /** Tokens of prompt and answer together, by `MODEL_OPTIONS` or the price table. */
  @ApiProperty({ type: 'integer' })
  context_window: number | null;
  /** Those of `not_sent` that the endpoint refused. */
  learnt: LearntOptionDto[];
}

/** A model that can be asked. */
export class ModelDto {
  /** As it is addressed. */
  id: string;
  provider: string;
  /** Whether its calls have a cost. */
  price_known: boolean;
  /** Whether a task's or an agent's own choice may name it. */
  allowed: boolean;
  options: ModelOptionsDto;

  static from(model: OfferedModel): ModelDto {
    return {
      id: model.id,
      provider: model.provider,
      price_known: model.priceKnown,
      allowed: model.allowed,
      options: {
        not_sent: [...model.form.without],
        max_tokens_name: model.form.maxTokensName,
        response_format_with_tools: model.form.schemaBesideTools,
        max_output: model.maxOutput,
        context_window: model.contextWindow,
        learnt: model.learnt.map((option) => LearntOptionDto.from(option)),
      },
    };
  }
}

/** Whose refusals are forgotten. */
export class ForgetOptionsDto {
  /** As it is addressed; every model's when it is left out. */
  @MayBeOmitted()
  @IsString()
  @Length(1, 300)
  model?: string;
}
