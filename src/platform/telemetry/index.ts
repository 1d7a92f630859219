export { Metrics } from './metrics.js';
export { TelemetryModule } from './telemetry.module.js';
export { outgoingTraceparent, traceOf } from './traceparent.js';
