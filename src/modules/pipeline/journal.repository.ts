import { Injectable } from '@nestjs/common';
import { Database, json, preparedSql } from '../../platform/database/index.js';
import { storableJson } from '../../platform/http/index.js';
import type { JournalEntry } from '../agents/index.js';
import { LeaseLostError, type Lease } from './lease.js';
import type { Spent } from './task-spends.repository.js';

/** The journals of unfinished stages. */
@Injectable()
export class JournalRepository {
  constructor(private readonly database: Database) {}

  /**
   * Stores one entry and adds `spent` to the task, under the lease. Storing the same entry twice is one entry and one
   * addition, so a lost answer may be tried again.
   * @throws LeaseLostError when the lease no longer holds.
   */
  async append(lease: Lease, stageId: string, entry: JournalEntry, spent: Spent): Promise<void> {
    const row = await this.database.one<{ held: boolean }>(
      'journal.append',
      preparedSql`
        with held as materialized (
          select id from tasks where id = ${lease.taskId} and epoch = ${lease.epoch} and lease_owner = ${lease.owner}
          for no key update
        ), stored as (
          insert into stage_journal (stage_id, seq, epoch, entry)
          select ${stageId}, ${entry.seq}, ${lease.epoch}, ${json(storableJson(entry))} from held
          on conflict (stage_id, seq) do nothing
          returning stage_id
        ), counted as (
          update tasks t set
            input_tokens = t.input_tokens + ${spent.input_tokens}, output_tokens = t.output_tokens + ${spent.output_tokens},
            cost_usd = t.cost_usd + ${spent.cost_usd}
          from stored where t.id = ${lease.taskId}
        )
        select exists (select from held) as held`,
    );
    if (!row.held) throw new LeaseLostError('The lease was lost while the journal was written.');
  }
}
