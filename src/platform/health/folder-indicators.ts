import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { AppConfig } from '../../config/index.js';
import { folderFault } from './folder-fault.js';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from './readiness-indicator.js';

/** A folder that the process writes; the log tells at the start that it cannot. */
@Injectable()
abstract class FolderIndicator implements HealthIndicator, OnModuleInit {
  private readonly logger = new Logger('Folders');

  constructor(protected readonly config: AppConfig) {}

  protected abstract fault(): Promise<string | null>;
  abstract check(state: IndicatorState): Promise<HealthIndicatorResult>;

  async onModuleInit(): Promise<void> {
    const reason = await this.fault();
    if (reason !== null) this.logger.warn(`${reason}.`);
  }
}

/** Without the data folder no task runs. */
@ReadinessIndicator({ name: 'data_folder', decides: true })
export class DataFolderIndicator extends FolderIndicator {
  async check(state: IndicatorState): Promise<HealthIndicatorResult> {
    const reason = await this.fault();
    return reason === null ? state.up() : state.down({ reason });
  }

  protected fault(): Promise<string | null> {
    return folderFault(this.config.dataDir, 'NOVA_DATA_DIR');
  }
}

/** Without the workspace no task can publish. */
@ReadinessIndicator({ name: 'workspace', decides: false })
export class WorkspaceIndicator extends FolderIndicator {
  async check(state: IndicatorState): Promise<HealthIndicatorResult> {
    const reason = await this.fault();
    return reason === null ? state.up() : state.degraded({ reason });
  }

  protected fault(): Promise<string | null> {
    return folderFault(this.config.workspace, 'NOVA_WORKSPACE');
  }
}
