export { Clock } from './clock.js';
export { ClockModule } from './clock.module.js';
export { PeriodicJobs } from './periodic-jobs.js';
