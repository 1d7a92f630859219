import { Global, Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { DependencyIndicators } from './dependency-indicators.js';
import { FolderIndicators } from './folder-indicators.js';
import { HealthController } from './health.controller.js';
import { HealthIndicators } from './health-indicators.js';
import { Lifecycle } from './lifecycle.js';
import { MetricsController } from './metrics.controller.js';
import { ReadinessService } from './readiness.service.js';

/** Probes, metrics and the process's life. Terminus' own logger is off: readiness that is asked for every second would flood it. */
@Global()
@Module({
  imports: [TerminusModule.forRoot({ logger: false })],
  controllers: [HealthController, MetricsController],
  providers: [DependencyIndicators, FolderIndicators, HealthIndicators, Lifecycle, ReadinessService],
  exports: [HealthIndicators, Lifecycle],
})
export class HealthModule {}
