import { Transform, Type } from 'class-transformer';
import { ArrayMinSize, ArrayUnique, IsIn, IsInt, IsString, IsUUID, Max, Min } from 'class-validator';
import { ApiProperty, IntersectionType } from '@nestjs/swagger';
import { IsMoment, MayBeOmitted, PageQueryDto, BooleanQuery } from '../../../platform/http/index.js';
import { TASK_STATUSES, type TaskStatus } from '../rules/task-status.js';
import { Characters } from './characters.js';

/** `a,b` and `a&status=b` alike. */
const CommaList = (): PropertyDecorator =>
  Transform(({ value }: { value: unknown }) =>
    [value].flat().flatMap((part) => (typeof part === 'string' ? part.split(',').map((item) => item.trim()) : [part])),
  );

/** Filters of the task list and of the bulk delete. */
class TaskFilterDto {
  @MayBeOmitted()
  @IsUUID('loose')
  pod_id?: string;

  @MayBeOmitted()
  @IsString()
  @Characters(1, 100)
  pod_name?: string;

  /** Only tasks made after this time. */
  @MayBeOmitted()
  @IsMoment()
  created_after?: string;

  /** Only tasks made before this time. */
  @MayBeOmitted()
  @IsMoment()
  created_before?: string;
}

/** Which tasks to list. */
export class ListPipelineTasksDto extends IntersectionType(PageQueryDto, TaskFilterDto) {
  /** Only tasks in one of these statuses: a comma list. */
  @MayBeOmitted()
  @CommaList()
  @ArrayUnique()
  @IsIn(TASK_STATUSES, { each: true })
  @ApiProperty({
    enum: TASK_STATUSES,
    isArray: true,
    maxItems: TASK_STATUSES.length,
    required: false,
    style: 'form',
    explode: false,
  } as object)
  status?: TaskStatus[];
}

/** Which ended tasks to delete. */
export class DeletePipelineTasksDto extends TaskFilterDto {
  /** Statuses of ended tasks: a comma list. */
  @CommaList()
  @ArrayMinSize(1)
  @ArrayUnique()
  @IsIn(TASK_STATUSES, { each: true })
  @ApiProperty({
    enum: TASK_STATUSES,
    isArray: true,
    maxItems: TASK_STATUSES.length,
    style: 'form',
    explode: false,
  } as object)
  status: TaskStatus[];
}

/** Which events to read, and how. */
export class ReadPipelineEventsDto {
  /** Only events after this `seq`; a `Last-Event-ID` header goes before it. */
  @MayBeOmitted()
  @Type(() => Number)
  @IsInt()
  @Min(0)
  @Max(Number.MAX_SAFE_INTEGER)
  after?: number = 0;

  /** False answers with what is there, as a JSON array. */
  @MayBeOmitted()
  @BooleanQuery()
  wait?: boolean = true;

  /** Most events of an array, whose `Link` then says how to go on; a stream has no limit. */
  @MayBeOmitted()
  @Type(() => Number)
  @IsInt()
  @Min(1)
  @Max(1_000)
  limit?: number = 1_000;
}
