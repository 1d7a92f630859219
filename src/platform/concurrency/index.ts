export { KeyedQueue } from './keyed-queue.js';
export { SharedUse } from './shared-use.js';
