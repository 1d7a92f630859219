export { Database, type ConnectionOptions } from './database.js';
export { DatabaseModule } from './database.module.js';
export { violates } from './pg-errors.js';
export { joinSql, json, sql, type Sql } from './sql.js';
