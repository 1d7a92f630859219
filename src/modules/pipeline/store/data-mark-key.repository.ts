import { Injectable } from '@nestjs/common';
import { Database, sql, type DataMarkKeyRow } from '../../../platform/database/index.js';

/** The key of the marks around data in prompts: made once, by the migration, and the same on every replica. */
@Injectable()
export class DataMarkKeyRepository {
  private key: Buffer | null = null;

  constructor(private readonly db: Database) {}

  /** 32 bytes. They are read once: nothing changes them. */
  async find(): Promise<Buffer> {
    if (this.key === null) {
      const row = await this.db.one<Pick<DataMarkKeyRow, 'key'>>(
        'pipeline.findDataMarkKey',
        sql`select key from data_mark_key`,
      );
      this.key = row.key;
    }
    return this.key;
  }
}
