import { Global, Module } from '@nestjs/common';
import { Clock } from '../clock/index.js';
import { DatabaseBootstrap } from './database-bootstrap.js';
import { Database } from './database.js';

@Global()
@Module({ providers: [Clock, Database, DatabaseBootstrap], exports: [Database, DatabaseBootstrap] })
export class DatabaseModule {}
