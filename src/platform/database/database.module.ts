import { Global, Module } from '@nestjs/common';
import { Clock } from '../clock/index.js';
import { DatabaseBootstrap } from './database-bootstrap.js';
import { Database } from './database.js';
import { KeyedTransactions } from './keyed-transactions.js';

@Global()
@Module({
  providers: [Clock, Database, DatabaseBootstrap, KeyedTransactions],
  exports: [Database, DatabaseBootstrap, KeyedTransactions],
})
export class DatabaseModule {}
