import { Injectable } from '@nestjs/common';
import { Database, sql } from '../../../platform/database/index.js';

/** Things that the tools of one task or turn may start. */
const MOST_STARTED = 20;

/** Counts what tools start, so that a model cannot multiply itself. */
@Injectable()
export class StartedWorkRepository {
  constructor(private readonly db: Database) {}

  /** Takes one of the starts that the task or turn `parentId` has; false when it has none left. */
  async take(parentId: string): Promise<boolean> {
    const rows = await this.db.query(
      'startedByTools.take',
      sql`insert into started_by_tools as s (parent_id, count) values (${parentId}, 1)
          on conflict (parent_id) do update set count = s.count + 1 where s.count < ${MOST_STARTED}
          returning count`,
    );
    return rows.length > 0;
  }

  /** Forgets counts older than `days`, of parents that have long ended. */
  async deleteBefore(days: number): Promise<void> {
    await this.db.query(
      'startedByTools.deleteBefore',
      sql`delete from started_by_tools where created_at < clock_timestamp() - ${days} * interval '1 day'`,
    );
  }
}
