import { Module, type DynamicModule } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { AppConfig, ConfigModule } from './config/index.js';
import { AgentsModule } from './modules/agents/index.js';
import { AuthModule } from './modules/auth/index.js';
import { ChatModule } from './modules/chat/index.js';
import { LlmModule } from './modules/llm/index.js';
import { McpModule } from './modules/mcp/index.js';
import { PipelineModule } from './modules/pipeline/index.js';
import { PodsModule } from './modules/pods/index.js';
import { TasksModule } from './modules/tasks/index.js';
import { ToolsModule } from './modules/tools/index.js';
import { ClockModule } from './platform/clock/index.js';
import { DatabaseModule } from './platform/database/index.js';
import { HealthModule } from './platform/health/index.js';
import { LoggingModule, type Scrubber } from './platform/logging/index.js';
import { PeriodicJobsModule } from './platform/schedule/index.js';
import { StorageModule } from './platform/storage/index.js';
import { TelemetryModule } from './platform/telemetry/index.js';
import { Startup } from './startup.js';

/** Global with the settings and the log: every module uses them. */
const EVERYWHERE = [ClockModule, DatabaseModule, StorageModule];
/** Those that the process itself uses: `main`, the hooks of requests, the jobs. */
const PROCESS = [HealthModule, PeriodicJobsModule, TelemetryModule];
/** In the order of the layers: each module may import those before it. */
const FEATURES = [
  AuthModule,
  LlmModule,
  ToolsModule,
  McpModule,
  AgentsModule,
  TasksModule,
  ChatModule,
  PodsModule,
  PipelineModule,
];

@Module({})
export class AppModule {
  /** The whole service, with the settings and secrets that `main` has read. */
  static with(config: AppConfig, scrubber: Scrubber): DynamicModule {
    return {
      module: AppModule,
      imports: [
        DiscoveryModule,
        ConfigModule.with(config),
        LoggingModule.with(scrubber),
        ...EVERYWHERE,
        ...PROCESS,
        ...FEATURES,
      ],
      providers: [Startup],
    };
  }
}
