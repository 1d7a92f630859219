import { Injectable } from '@nestjs/common';
import {
  Database,
  sql,
  type ArtifactRow,
  type CamelRow,
  type FindingRow,
  type ReviewRow,
  type Sql,
  type StageRow,
} from '../../../platform/database/index.js';
import { pageOf, type Cursor, type Page, type PageRequest } from '../../../platform/paging/index.js';
import type { FindingType } from '../guardrail/finding.js';
import type { Severity } from '../../pods/index.js';
import type { Role } from '../rules/task-status.js';
import { CHANGE_LIST, type ChangeList } from '../store/change-list.js';

/** Bytes of artifact content after which a page ends early: one answer never holds more than this and one artifact. */
const ARTIFACT_PAGE_BYTES = 8 * 1024 * 1024;

export type FindingView = CamelRow<
  Pick<
    FindingRow,
    | 'id'
    | 'task_id'
    | 'stage_id'
    | 'finding_type'
    | 'severity'
    | 'description'
    | 'evidence'
    | 'iteration'
    | 'deterministic'
    | 'status'
    | 'resolved_by'
    | 'resolution_notes'
    | 'created_at'
    | 'resolved_at'
  > & { finding_type: FindingType }
>;

export interface ReviewIssueView {
  severity: Severity;
  description: string;
  file?: string | null;
  line?: number | null;
  suggestion?: string | null;
}

export type ReviewView = CamelRow<
  Pick<ReviewRow, 'id' | 'task_id' | 'stage_id' | 'iteration' | 'verdict' | 'issues' | 'summary' | 'created_at'> & {
    issues: ReviewIssueView[];
  }
>;

export type ArtifactView = CamelRow<
  Pick<
    ArtifactRow,
    | 'id'
    | 'task_id'
    | 'stage_id'
    | 'artifact_type'
    | 'name'
    | 'content'
    | 'content_hash'
    | 'file_path'
    | 'metadata'
    | 'created_at'
  > & { metadata: Record<string, unknown> }
>;

export type StageView = CamelRow<
  Pick<
    StageRow,
    | 'id'
    | 'task_id'
    | 'role'
    | 'position'
    | 'attempt'
    | 'iteration'
    | 'status'
    | 'model'
    | 'input_tokens'
    | 'cached_input_tokens'
    | 'output_tokens'
    | 'cost_usd'
    | 'usage_estimated'
    | 'duration_ms'
    | 'tools_left_out'
    | 'error'
    | 'started_at'
    | 'completed_at'
  > & { role: Role }
>;

interface Paged {
  id: string;
  cursor_at: string;
}

/** Reads what a task's stages left behind, oldest first. Callers have checked who may see the task. */
@Injectable()
export class TaskPartsRepository {
  constructor(private readonly db: Database) {}

  async findings(taskId: string, page: PageRequest): Promise<Page<FindingView>> {
    const rows = await this.db.query<Paged & FindingView>(
      'pipeline.listFindings',
      sql`select f.id, f.task_id as "taskId", f.stage_id as "stageId", f.finding_type as "findingType", f.severity,
          f.description, f.evidence, f.iteration, f.deterministic, f.status, f.resolved_by as "resolvedBy",
          f.resolution_notes as "resolutionNotes", f.created_at as "createdAt", f.resolved_at as "resolvedAt",
          ${cursorAt(sql`f.created_at`)}
        from findings f where f.task_id = ${taskId} and ${after(page, sql`(f.created_at, f.id)`)}
        order by f.created_at, f.id limit ${page.limit + 1} offset ${page.offset}`,
    );
    return pageOf(rows, page.limit, cursorOf, withoutCursor);
  }

  async reviews(taskId: string, page: PageRequest): Promise<Page<ReviewView>> {
    const rows = await this.db.query<Paged & ReviewView>(
      'pipeline.listReviews',
      sql`select v.id, v.task_id as "taskId", v.stage_id as "stageId", v.iteration, v.verdict, v.issues, v.summary,
          v.created_at as "createdAt", ${cursorAt(sql`v.created_at`)}
        from reviews v where v.task_id = ${taskId} and ${after(page, sql`(v.created_at, v.id)`)}
        order by v.created_at, v.id limit ${page.limit + 1} offset ${page.offset}`,
    );
    return pageOf(rows, page.limit, cursorOf, withoutCursor);
  }

  async stages(taskId: string, page: PageRequest): Promise<Page<StageView>> {
    const rows = await this.db.query<Paged & StageView>(
      'pipeline.listStages',
      sql`select s.id, s.task_id as "taskId", s.role, s.position, s.attempt, s.iteration, s.status, s.model,
          s.input_tokens as "inputTokens", s.cached_input_tokens as "cachedInputTokens", s.output_tokens as "outputTokens",
          s.cost_usd as "costUsd", s.usage_estimated as "usageEstimated",
          s.duration_ms as "durationMs", s.tools_left_out as "toolsLeftOut", s.error, s.started_at as "startedAt",
          s.completed_at as "completedAt", ${cursorAt(sql`s.started_at`)}
        from stages s where s.task_id = ${taskId} and ${after(page, sql`(s.started_at, s.id)`)}
        order by s.started_at, s.id limit ${page.limit + 1} offset ${page.offset}`,
    );
    return pageOf(rows, page.limit, cursorOf, withoutCursor);
  }

  /** The newest list of the task's changes that was kept; null for none. */
  async changeList(taskId: string): Promise<ChangeList | null> {
    const row = await this.db.maybeOne<Pick<ArtifactRow, 'content'>>(
      'pipeline.findChangeList',
      sql`select a.content from artifacts a
          where a.task_id = ${taskId} and a.artifact_type = ${CHANGE_LIST} and a.stage_id is null
          order by a.created_at desc, a.id desc limit 1`,
    );
    return row && (JSON.parse(row.content) as ChangeList);
  }

  /**
   * Artifacts; those that wait for a person's word only with `unreleased`. A page ends early when its contents grow
   * beyond a bound, and still says where the next one starts. The sizes come from the TOAST headers: no content is read
   * that the page does not show.
   */
  async artifacts(taskId: string, unreleased: boolean, page: PageRequest): Promise<Page<ArtifactView>> {
    const rows = await this.db.query<Paged & ArtifactView & { available: number }>(
      'pipeline.listArtifacts',
      sql`with candidates as materialized (
          select a.id, a.created_at, octet_length(a.content) as bytes from artifacts a
          where a.task_id = ${taskId} and ${shownArtifact(unreleased)}
            and ${after(page, sql`(a.created_at, a.id)`)}
          order by a.created_at, a.id limit ${page.limit + 1} offset ${page.offset}),
        sized as (
          select c.id, sum(c.bytes) over (order by c.created_at, c.id) - c.bytes as bytes_before from candidates c)
        select a.id, a.task_id as "taskId", a.stage_id as "stageId", a.artifact_type as "artifactType", a.name, a.content,
          a.content_hash as "contentHash", a.file_path as "filePath", a.metadata, a.created_at as "createdAt",
          (select count(*) from candidates) as available, ${cursorAt(sql`a.created_at`)}
        from sized s join artifacts a on a.id = s.id
        where s.bytes_before < ${ARTIFACT_PAGE_BYTES}
        order by a.created_at, a.id limit ${page.limit}`,
    );
    const more = (rows[0]?.available ?? 0) > rows.length;
    const last = rows.at(-1);
    return {
      items: rows.map(({ available: _available, ...row }) => withoutCursor(row)),
      next: more && last !== undefined ? cursorOf(last) : null,
    };
  }
}

/** The artifacts `a` that are listed; with `unreleased`, those that wait for a person's word too. */
export function shownArtifact(unreleased: boolean): Sql {
  return sql`(${unreleased} or a.artifact_type <> 'pending_output')
    and not (a.artifact_type = ${CHANGE_LIST} and a.stage_id is null)`;
}

function cursorOf(row: Paged): Cursor {
  return { at: row.cursor_at, id: row.id };
}

function cursorAt(column: Sql): Sql {
  return sql`to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as cursor_at`;
}

function after(page: PageRequest, columns: Sql): Sql {
  return page.after ? sql`${columns} > (${page.after.at}::timestamptz, ${page.after.id}::uuid)` : sql`true`;
}

function withoutCursor<Row extends Paged>({ cursor_at: _keyset, ...row }: Row): Omit<Row, 'cursor_at'> {
  return row;
}
