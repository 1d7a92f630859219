export { onScheduler, Periodic } from './periodic.js';
export { PeriodicJobsModule } from './periodic-jobs.module.js';
