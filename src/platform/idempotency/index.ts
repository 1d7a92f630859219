export { idempotencyOf } from './idempotency-key.js';
export { IdempotencyRepository, type IdempotencyClaim } from './idempotency.repository.js';
