import { Type } from 'class-transformer';
import { IsInt, IsString, Max, MaxLength, Min } from 'class-validator';
import { MayBeOmitted } from './may-be-omitted.js';

/** Paging of a list. */
export class PageQueryDto {
  /** Most items to return. */
  @MayBeOmitted()
  @Type(() => Number)
  @IsInt()
  @Min(1)
  @Max(200)
  limit?: number = 50;

  /** Items to skip; for large lists follow the `Link` header instead, whose cost does not grow. */
  @MayBeOmitted()
  @Type(() => Number)
  @IsInt()
  @Min(0)
  @Max(10_000)
  offset?: number = 0;

  /** Where the page before ended, from its `Link` header; replaces `offset`. */
  @MayBeOmitted()
  @IsString()
  @MaxLength(200)
  cursor?: string;
}
