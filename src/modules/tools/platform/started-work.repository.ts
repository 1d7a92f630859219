import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { Database, sql } from '../../../platform/database/index.js';

/** Things that the tools of one task or turn may start. */
const MOST_STARTED = 20;

/** Counts what tools start, so that a model cannot multiply itself. */
@Injectable()
export class StartedWorkRepository {
  constructor(
    private readonly db: Database,
    private readonly config: AppConfig,
  ) {}

  /**
   * Takes one of the starts that the task or turn `parentId` has, and one of those of the request `rootId` that led to it; says
   * which of the two has none left, null when both had.
   */
  async take(parentId: string, rootId: string): Promise<'work' | 'request' | null> {
    const { ofWork, ofRequest } = await this.db.one<{ ofWork: boolean; ofRequest: boolean }>(
      'startedByTools.take',
      sql`with p as (
            insert into started_by_tools as s (parent_id, count) values (${parentId}, 1)
            on conflict (parent_id) do update set count = s.count + 1 where s.count < ${MOST_STARTED}
            returning count
          ), r as (
            insert into started_below_requests as b (root_id, count) select ${rootId}::uuid, 1 from p
            on conflict (root_id) do update set count = b.count + 1 where b.count < ${this.config.bounds.startedWork}
            returning count
          )
          select exists (select from p) as "ofWork", exists (select from r) as "ofRequest"`,
    );
    if (!ofWork) return 'work';
    return ofRequest ? null : 'request';
  }

  /** Forgets counts older than `days`, of parents that have long ended. */
  async deleteBefore(days: number): Promise<void> {
    await this.db.query(
      'startedByTools.deleteBefore',
      sql`delete from started_by_tools where created_at < clock_timestamp() - ${days} * interval '1 day'`,
    );
    await this.db.query(
      'startedBelowRequests.deleteBefore',
      sql`delete from started_below_requests where created_at < clock_timestamp() - ${days} * interval '1 day'`,
    );
  }
}
