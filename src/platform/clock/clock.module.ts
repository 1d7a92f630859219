import { Global, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { Clock } from './clock.js';
import { PeriodicJobs } from './periodic-jobs.js';

@Global()
@Module({ imports: [ScheduleModule.forRoot()], providers: [Clock, PeriodicJobs], exports: [Clock, PeriodicJobs] })
export class ClockModule {}
