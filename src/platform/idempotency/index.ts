export { idempotencyOf } from './idempotency-key.js';
export { IdempotencyRepository } from './idempotency.repository.js';
