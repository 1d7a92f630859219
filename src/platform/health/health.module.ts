import { Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { TerminusModule } from '@nestjs/terminus';
import { RedisModule } from '../redis/index.js';
import { TelemetryModule } from '../telemetry/index.js';
import { DatabaseIndicator } from './database.indicator.js';
import { DataFolderIndicator, WorkspaceIndicator } from './folder-indicators.js';
import { HealthController } from './health.controller.js';
import { Lifecycle } from './lifecycle.js';
import { MetricsController } from './metrics.controller.js';
import { OpenFilesIndicator } from './open-files.indicator.js';
import { ReadinessService } from './readiness.service.js';
import { RedisIndicator } from './redis.indicator.js';

/** Probes, metrics and the process's life. Terminus' own logger is off: readiness that is asked for every second would flood it. */
@Module({
  imports: [DiscoveryModule, TerminusModule.forRoot({ logger: false }), RedisModule, TelemetryModule],
  controllers: [HealthController, MetricsController],
  providers: [
    DatabaseIndicator,
    RedisIndicator,
    DataFolderIndicator,
    WorkspaceIndicator,
    OpenFilesIndicator,
    Lifecycle,
    ReadinessService,
  ],
  exports: [Lifecycle],
})
export class HealthModule {}
