import { Logger, type OnModuleInit } from '@nestjs/common';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { AppConfig } from '../../config/index.js';
import { openFilesFault, openFilesLimit } from './open-files.js';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from './readiness-indicator.js';

/** Reports a limit of open files that is too low for the settings; never decides, since few processes ever need them all. */
@ReadinessIndicator({ name: 'open_files', decides: false })
export class OpenFilesIndicator implements HealthIndicator, OnModuleInit {
  private readonly limit = openFilesLimit();
  private readonly fault: string | null;

  constructor(config: AppConfig) {
    this.fault = openFilesFault(this.limit, config);
  }

  onModuleInit(): void {
    if (this.fault !== null) new Logger('OpenFiles').warn(`${this.fault}.`);
  }

  check(state: IndicatorState): HealthIndicatorResult {
    if (this.fault !== null) return state.degraded({ reason: this.fault });
    return this.limit === null ? state.up() : state.up({ limit: this.limit });
  }
}
