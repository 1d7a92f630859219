export { HealthModule } from './health.module.js';
export { Lifecycle } from './lifecycle.js';
export { ReadinessIndicator, type HealthIndicator, type IndicatorState } from './readiness-indicator.js';
