import { ApiProperty } from '@nestjs/swagger';
import { IsIn } from 'class-validator';
import {
  CONDITION_FLAGS,
  CONDITION_TYPES,
  MAX_CONDITION_NODES,
  type ConditionFlag,
  type ConditionType,
} from './run-condition.js';

/**
 * When an agent runs. `on_flag` and `not_flag` name a flag; `and` and `or` hold conditions, at most 8 levels and 64 in
 * all; `on_pass` is neither blocked nor rejected, `on_fail` is either.
 */
export class RunConditionDto {
  @IsIn(CONDITION_TYPES)
  type: ConditionType;

  /** Of `on_flag` and `not_flag` only. */
  @IsIn(CONDITION_FLAGS)
  flag?: ConditionFlag;

  /** Of `and` and `or` only; at least one. */
  @ApiProperty({ minItems: 1, maxItems: MAX_CONDITION_NODES })
  conditions?: RunConditionDto[];
}
