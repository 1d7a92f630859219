import { Injectable } from '@nestjs/common';
import { Database, sql, type LearntModelOptionRow } from '../../platform/database/index.js';
import type { FormChange, OptionalParameter } from './request-form.js';

/** What an endpoint refused, and goes without until `expiresAt`. */
export interface LearntOption {
  provider: string;
  model: string;
  parameter: OptionalParameter;
  instead: FormChange['instead'];
  learntAt: Date;
  expiresAt: Date;
}

/** What endpoints refused, for all replicas. No method locks more than the rows it writes. */
@Injectable()
export class LearntOptionsRepository {
  constructor(private readonly db: Database) {}

  /** Everything that has not expired. */
  async findAll(): Promise<LearntOption[]> {
    const rows = await this.db.query<LearntModelOptionRow>(
      'learntOptions.findAll',
      sql`
        select provider, model, parameter, instead, learnt_at, expires_at
        from learnt_model_options
        where expires_at > now()
        order by provider, model, parameter
        limit 10000`,
    );
    return rows.map((row) => ({
      provider: row.provider,
      model: row.model,
      parameter: row.parameter as OptionalParameter,
      instead: row.instead as FormChange['instead'],
      learntAt: row.learnt_at,
      expiresAt: row.expires_at,
    }));
  }

  /** Learns a change for `hours`, in the place of what was known of the parameter; forgets what has expired. */
  async learn(provider: string, model: string, change: FormChange, hours: number): Promise<void> {
    await this.db.query(
      'learntOptions.learn',
      sql`
        with expired as (delete from learnt_model_options where expires_at < now() - interval '1 hour')
        insert into learnt_model_options (provider, model, parameter, instead, expires_at)
        values (${provider}, ${model}, ${change.parameter}, ${change.instead}, now() + make_interval(hours => ${hours}))
        on conflict (provider, model, parameter)
          do update set instead = excluded.instead, learnt_at = now(), expires_at = excluded.expires_at`,
    );
  }

  /** Forgets what was learnt of `of`, or everything. */
  async forget(of: { provider: string; model: string } | null): Promise<void> {
    await this.db.query(
      'learntOptions.forget',
      of === null
        ? sql`delete from learnt_model_options`
        : sql`delete from learnt_model_options where provider = ${of.provider} and model = ${of.model}`,
    );
  }
}
