export { Database, type ConnectionOptions } from './database.js';
export { DatabaseBootstrap, type DatabaseState } from './database-bootstrap.js';
export { DatabaseModule } from './database.module.js';
export { isAway, untilAnswered } from './while-away.js';
export { violates } from './pg-errors.js';
export type * from './rows.generated.js';
export { SingleProcessError } from './single-process-lock.js';
export { isStorableText, storableJson, storableText } from './storable-text.js';
export { joinSql, json, preparedSql, sql, type Sql } from './sql.js';
