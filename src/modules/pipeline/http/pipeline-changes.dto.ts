import { ApiProperty } from '@nestjs/swagger';
import { Matches } from 'class-validator';
import { MayBeOmitted } from '../../../platform/http/index.js';
import type { JudgeRole } from '../../pods/index.js';
import type { FileVersion } from '../store/change-list.js';
import type { ChangeView } from '../views/task-changes.service.js';

type FileKind = FileVersion['kind'];
type FileMode = FileVersion['mode'];
type FileEncoding = NonNullable<FileVersion['encoding']>;
type ChangeKind = ChangeView['change'];

/** One version of a changed file. */
export class PipelineFileVersionDto {
  kind: FileKind;
  /** As git writes it. */
  mode: FileMode;
  /** Bytes; of a link, of its target. */
  @ApiProperty({ type: 'integer', minimum: 0 })
  size: number;
  /** Of the content, hex; of a link, of its target. */
  sha256: string;
  /** Of a text. Null for what is none, and for a file that is too large to be looked at. */
  encoding: FileEncoding | null;
  /** Null for a file that is too large to be looked at. */
  binary: boolean | null;

  static from(version: FileVersion): PipelineFileVersionDto {
    return {
      kind: version.kind,
      mode: version.mode,
      size: version.size,
      sha256: version.sha256,
      encoding: version.encoding,
      binary: version.binary,
    };
  }
}

/** Whether each judge of the present work was shown all of a change; null while it has not judged. */
export class PipelineShownWholeDto implements Record<JudgeRole, boolean | null> {
  guardrail: boolean | null;
  code_review: boolean | null;
}

/** A file that the task has changed. */
export class PipelineChangeDto {
  @ApiProperty({ format: 'uuid' })
  id: string;
  @ApiProperty({ format: 'uuid' })
  task_id: string;
  /** Relative to the workspace. */
  path: string;
  change: ChangeKind;
  /** Null for an added file. */
  before: PipelineFileVersionDto | null;
  /** Null for a deleted file. */
  after: PipelineFileVersionDto | null;
  shown_whole: PipelineShownWholeDto;
  /** Whether it counts as unseen work, which a gate lists and a person releases. */
  unseen: boolean;

  static from(change: ChangeView): PipelineChangeDto {
    return {
      id: change.id,
      task_id: change.taskId,
      path: change.path,
      change: change.change,
      before: change.before && PipelineFileVersionDto.from(change.before),
      after: change.after && PipelineFileVersionDto.from(change.after),
      shown_whole: change.shownWhole,
      unseen: change.unseen,
    };
  }
}

/** Which content to read. */
export class ReadPipelineChangeDto {
  /** The gate's `content_hash`, or the version's own `sha256`: any other content is refused. */
  @MayBeOmitted()
  @Matches(/^[0-9a-f]{64}$/, { message: '$property must be a SHA-256 in hex' })
  content_hash?: string;
}
