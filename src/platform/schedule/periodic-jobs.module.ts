import { Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { ScheduleModule } from '@nestjs/schedule';
import { PeriodicJobs } from './periodic-jobs.js';

/** The jobs that run again and again. Nothing injects it: `Periodic` marks a method, and it is found. */
@Module({ imports: [DiscoveryModule, ScheduleModule.forRoot()], providers: [PeriodicJobs] })
export class PeriodicJobsModule {}
