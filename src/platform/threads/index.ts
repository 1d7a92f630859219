export { ThreadPool } from './thread-pool.js';
export { withinMs } from './within-ms.js';
