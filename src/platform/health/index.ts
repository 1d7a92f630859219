export { HealthIndicators, type Indicator, type IndicatorReport } from './health-indicators.js';
export { HealthModule } from './health.module.js';
export { Lifecycle } from './lifecycle.js';
