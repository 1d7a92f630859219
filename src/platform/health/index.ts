export { HealthModule } from './health.module.js';
export { Lifecycle } from './lifecycle.js';
export { mostConnections } from './open-files.js';
export { ReadinessIndicator, type HealthIndicator, type IndicatorState } from './readiness-indicator.js';
