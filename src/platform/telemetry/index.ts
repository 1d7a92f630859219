export { Metrics } from './metrics.js';
export { TelemetryModule } from './telemetry.module.js';
export { traceOf } from './traceparent.js';
