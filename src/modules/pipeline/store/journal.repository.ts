import { Injectable } from '@nestjs/common';
import {
  Database,
  json,
  preparedSql,
  sql,
  storableJson,
  type Sql,
  type ColumnAs,
  type StageJournalRow,
} from '../../../platform/database/index.js';
import type { JournalEntry } from '../../loop/index.js';
import { LeaseLostError, type Lease } from './lease.js';
import type { StageDiff } from '../stages/index.js';
import type { Spent } from './transition.js';

/** An entry of a stage's journal. */
export type StageEntry = JournalEntry & {
  /** Of the attempt before: what it used is counted there. */
  carried?: true;
  /** On the first entry of a task stage that has a work tree: the diff as it was then, which the tools change from here on. */
  diff?: StageDiff;
};

/** The journals of unfinished stages. */
@Injectable()
export class JournalRepository {
  constructor(private readonly database: Database) {}

  /**
   * Begins the journal of the stage `to`, another attempt, with what the attempt `from` recorded in the task's present life,
   * up to the last tool call that was asked for: what was said after it is said anew. Returns the journal; a second time it
   * only does that.
   * @throws LeaseLostError when the lease no longer holds.
   */
  async carry(lease: Lease, from: string, to: string, life: number): Promise<StageEntry[]> {
    const row = await this.database.one<{
      held: boolean;
      entries: ColumnAs<StageJournalRow, 'entry', StageEntry>[] | null;
    }>(
      'journal.carry',
      sql`
        with held as materialized (${held(lease)}), carried as (
          insert into stage_journal (stage_id, seq, epoch, entry)
          select ${to}, j.seq, ${lease.epoch}, j.entry || '{"carried": true}'
          from held cross join stage_journal j
          where j.stage_id = ${from} and j.epoch > ${life} and j.entry ->> 'kind' <> 'repeat' and j.seq <= (
            select max(seq) from stage_journal
            where stage_id = ${from}
              and (entry ->> 'kind' = 'result' or jsonb_array_length(entry -> 'answer' -> 'toolCalls') > 0))
          on conflict (stage_id, seq) do nothing
          returning seq, entry
        ), journal as (
          select seq, entry from carried
          union all
          select seq, entry from stage_journal where stage_id = ${to}
        )
        select exists (select from held) as held, (select jsonb_agg(entry order by seq) from journal) as entries`,
    );
    if (!row.held) throw new LeaseLostError('The lease was lost before the stage went on from its earlier attempt.');
    return row.entries ?? [];
  }

  /**
   * Stores one entry and adds `spent` to the task, under the lease. Storing the same entry twice is one entry and one
   * addition, so a lost answer may be tried again.
   * @throws LeaseLostError when the lease no longer holds.
   */
  async append(lease: Lease, stageId: string, entry: StageEntry, spent: Spent): Promise<void> {
    const row = await this.database.one<{ held: boolean }>(
      'journal.append',
      preparedSql`
        with held as materialized (${held(lease)}), stored as (
          insert into stage_journal (stage_id, seq, epoch, entry)
          select ${stageId}, ${entry.seq}, ${lease.epoch}, ${json(storableJson(entry))} from held
          on conflict (stage_id, seq) do nothing
          returning stage_id
        ), counted as (
          update tasks t set
            input_tokens = t.input_tokens + ${spent.input_tokens},
            cached_input_tokens = t.cached_input_tokens + ${spent.cached_input_tokens},
            output_tokens = t.output_tokens + ${spent.output_tokens},
            cost_usd = t.cost_usd + ${spent.cost_usd}, promised_usd = greatest(0, t.promised_usd + ${spent.promised_usd})
          from stored where t.id = ${lease.taskId}
        )
        select exists (select from held) as held`,
    );
    if (!row.held) throw new LeaseLostError('The lease was lost while the journal was written.');
  }
}

/** The lease's task while it holds, and nobody takes it meanwhile. */
function held({ taskId, epoch, owner }: Lease): Sql {
  return sql`select id from tasks where id = ${taskId} and epoch = ${epoch} and lease_owner = ${owner} for no key update`;
}
