import { Injectable } from '@nestjs/common';
import { Database, json, preparedSql, sql, type Sql } from '../../../platform/database/index.js';
import { LeaseLostError, type Lease } from './lease.js';
import type { Spent, StageWrite } from './transition.js';

/** What a stage had used when its worker lost the lease. */
export type AbandonedStage = Pick<
  StageWrite,
  | 'id'
  | 'model'
  | 'input_tokens'
  | 'cached_input_tokens'
  | 'output_tokens'
  | 'cost_usd'
  | 'usage_estimated'
  | 'duration_ms'
>;

/** Spending that is stored apart from the transitions of a task. */
@Injectable()
export class TaskSpendsRepository {
  constructor(private readonly database: Database) {}

  /**
   * Takes `usd` off the task's limit for work that has a limit of its own, under the lease.
   * @throws LeaseLostError when the lease no longer holds.
   */
  grant(lease: Lease, usd: number): Promise<void> {
    return this.takeOff(lease, 'tasks.grant', sql`granted_usd = granted_usd + ${usd}`);
  }

  /**
   * Promises `usd` of the task's limit to a call that is about to be made, under the lease: until a write takes it back, every
   * worker of the task counts it. A retry after a lost answer may promise twice, which spends less and never more.
   * @throws LeaseLostError when the lease no longer holds.
   */
  promise(lease: Lease, usd: number): Promise<void> {
    return this.takeOff(lease, 'tasks.promise', sql`promised_usd = promised_usd + ${usd}`);
  }

  /**
   * Adds what the worker had used and not written when the lease was lost, to the task and to those of `stages` that somebody
   * else ended meanwhile. It changes no state, so it needs no lease; the epoch counts it once, however often it is tried.
   */
  async settle(lease: Lease, spent: Spent, stages: readonly AbandonedStage[]): Promise<void> {
    await this.database.query(
      'tasks.settle',
      sql`
        with late as (
          insert into late_spends (task_id, epoch, input_tokens, cached_input_tokens, output_tokens, cost_usd)
          select id, ${lease.epoch}, ${spent.input_tokens}, ${spent.cached_input_tokens}, ${spent.output_tokens},
            ${spent.cost_usd}
          from tasks where id = ${lease.taskId}
          on conflict (task_id, epoch) do nothing
          returning task_id
        ), counted as (
          update tasks t set
            input_tokens = t.input_tokens + ${spent.input_tokens},
            cached_input_tokens = t.cached_input_tokens + ${spent.cached_input_tokens},
            output_tokens = t.output_tokens + ${spent.output_tokens},
            cost_usd = t.cost_usd + ${spent.cost_usd}, promised_usd = greatest(0, t.promised_usd + ${spent.promised_usd})
          from late where t.id = late.task_id
        )
        update stages s set
          model = w.model, input_tokens = w.input_tokens, cached_input_tokens = coalesce(w.cached_input_tokens, 0),
          output_tokens = w.output_tokens, cost_usd = w.cost_usd, usage_estimated = w.usage_estimated, duration_ms = w.duration_ms
        from late cross join jsonb_to_recordset(${json(stages)}::jsonb) as w(
          id uuid, model text, input_tokens bigint, cached_input_tokens bigint, output_tokens bigint, cost_usd numeric,
          usage_estimated boolean, duration_ms bigint)
        -- A stage that its own worker ended names its model.
        where s.id = w.id and s.task_id = late.task_id and s.status <> 'running' and s.model is null`,
    );
  }

  private async takeOff(lease: Lease, name: string, change: Sql): Promise<void> {
    const rows = await this.database.query(
      name,
      preparedSql`
        update tasks set ${change}
        where id = ${lease.taskId} and epoch = ${lease.epoch} and lease_owner = ${lease.owner}
        returning id`,
    );
    if (rows.length === 0) throw new LeaseLostError("The lease was lost while some of the task's limit was taken off.");
  }
}
