import { json, sql, type Database } from '../../../src/platform/database/index.js';
import { Clock } from '../../../src/platform/clock/index.js';

/** A task as the pods need it: belonging to a pod and ended or not. */
export async function insertTask(
  database: Database,
  task: { podId: string; status: 'queued' | 'complete' },
): Promise<string> {
  const id = new Clock().newId();
  const queued = task.status === 'queued';
  await database.query(
    'test.insertTask',
    sql`insert into tasks (id, owner, pod_id, pod_name, status, next_status, priority, vstart, max_retries, control, completed_at)
        values (${id}, 'admin', ${task.podId}, 'A pod', ${task.status}, ${queued ? 'context_running' : null}, 5, 1, 2,
          ${json({})}, ${queued ? null : new Date()})`,
  );
  return id;
}
