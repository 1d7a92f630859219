import { access, constants } from 'node:fs/promises';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { AppConfig } from '../../config/index.js';
import { HealthIndicators, type IndicatorReport } from './health-indicators.js';

/** The folders that the process writes: without the data folder no task runs, without the workspace none can publish. */
@Injectable()
export class FolderIndicators implements OnModuleInit {
  private readonly logger = new Logger('Folders');
  private readonly folders: readonly { name: string; variable: string; path: string; decides: boolean }[];

  constructor(indicators: HealthIndicators, config: AppConfig) {
    this.folders = [
      { name: 'data_folder', variable: 'NOVA_DATA_DIR', path: config.dataDir, decides: true },
      { name: 'workspace', variable: 'NOVA_WORKSPACE', path: config.workspace, decides: false },
    ];
    for (const folder of this.folders) {
      const { name, decides, path, variable } = folder;
      indicators.register({
        name,
        decides,
        report: async (): Promise<IndicatorReport> => {
          const reason = await folderFault(path, variable);
          return reason === null ? { status: 'up' } : { status: decides ? 'down' : 'degraded', reason };
        },
      });
    }
  }

  async onModuleInit(): Promise<void> {
    for (const { path, variable } of this.folders) {
      const reason = await folderFault(path, variable);
      if (reason !== null) this.logger.warn(`${reason}.`);
    }
  }
}

/** Why `path` cannot be written, as a sentence; null when it can, or is not made yet and can be. */
async function folderFault(path: string, variable: string): Promise<string | null> {
  try {
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    // It is made when it is first needed; until then its parent tells.
    if (code === 'ENOENT') return null;
    return `the folder ${path} of ${variable} cannot be written (${code}); give the user of the service access, or choose another`;
  }
}
