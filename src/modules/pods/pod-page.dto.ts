import { OmitType } from '@nestjs/swagger';
import { IsString, MaxLength } from 'class-validator';
import { MayBeOmitted, PageQueryDto } from '../../platform/http/index.js';

/** Paging of the pods. */
export class PodPageDto extends OmitType(PageQueryDto, ['cursor']) {
  /** Where the page before ended, from its `Link` header; replaces `offset`. */
  @MayBeOmitted()
  @IsString()
  @MaxLength(1_000)
  cursor?: string;
}

/** Paging of the agents of a pod, which are five at the most. */
export class PodAgentPageDto extends OmitType(PageQueryDto, ['cursor']) {}
