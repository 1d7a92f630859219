import { IsIn, IsString, IsUUID, Matches } from 'class-validator';
import { MayBeOmitted } from '../../../platform/http/index.js';
import { Characters } from './characters.js';

const DECISIONS = ['approve', 'reject'] as const;
type DecisionName = (typeof DECISIONS)[number];

/** A person's decision at a gate. */
export class ReviewPipelineTaskDto {
  @IsIn(DECISIONS)
  decision: DecisionName;

  /** Why; a rejection's comment becomes the task's `error`. */
  @MayBeOmitted()
  @IsString()
  @Characters(0, 10_000)
  comment?: string;

  /** The gate that was looked at: refused when it is no longer the open one. */
  @MayBeOmitted()
  @IsUUID('loose')
  gate_id?: string;

  /** The gate's `content_hash` as it was looked at: refused when it is another one. */
  @MayBeOmitted()
  @Matches(/^[0-9a-f]{64}$/, { message: '$property must be a SHA-256 in hex' })
  content_hash?: string;
}
