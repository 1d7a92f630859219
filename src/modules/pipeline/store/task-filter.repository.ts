import { joinSql, sql, type Sql } from '../../../platform/database/index.js';
import type { TaskStatus } from '../rules/task-status.js';

/** Which tasks a list shows, and which ended ones a bulk delete removes; an absent part means any. */
export interface TaskFilter {
  statuses?: readonly TaskStatus[] | undefined;
  podId?: string | undefined;
  podName?: string | undefined;
  createdAfter?: Date | undefined;
  createdBefore?: Date | undefined;
}

/** The conditions of `filter` on the table `tasks`, which the statement names `t`. */
export function filterConditions(filter: TaskFilter): Sql {
  const conditions: Sql[] = [];
  if (filter.statuses) conditions.push(sql`t.status = any(${filter.statuses}::text[])`);
  if (filter.podId) conditions.push(sql`t.pod_id = ${filter.podId}`);
  if (filter.podName) conditions.push(sql`t.pod_name = ${filter.podName}`);
  if (filter.createdAfter) conditions.push(sql`t.created_at > ${filter.createdAfter.toISOString()}::timestamptz`);
  if (filter.createdBefore) conditions.push(sql`t.created_at < ${filter.createdBefore.toISOString()}::timestamptz`);
  return conditions.length === 0 ? sql`true` : joinSql(conditions, ' and ');
}
