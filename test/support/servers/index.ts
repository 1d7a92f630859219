export { freePort } from './free-port.js';
export { startPgBouncer, type TestPgBouncer } from './pgbouncer.js';
export { hasPostgres15, startPostgres, type PostgresOptions, type TestPostgres } from './postgres.js';
export { startRedis, type RedisOptions, type TestRedis } from './redis.js';
export { temporaryFolder, type TemporaryFolder } from './temporary-folder.js';
