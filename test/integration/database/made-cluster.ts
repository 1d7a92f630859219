import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { startEmbeddedPostgres } from '../../../src/platform/embedded-postgres/embedded-postgres.js';
import { run } from '../../../src/platform/embedded-postgres/server-process.js';
import { temporaryFolder } from '../../support/servers/index.js';

/** A data folder with a cluster that the service made and stopped, for tests of what happens to one that is there. */
export interface MadeCluster {
  /** Makes `dataDir`, which must not be there yet, like it. */
  copyTo(dataDir: string): Promise<void>;
  remove(): void;
}

/** Makes one for a spec file: a copy takes a tenth of what making one does. */
export async function makeCluster(): Promise<MadeCluster> {
  const folder = temporaryFolder();
  await chmod(folder.path, 0o711);
  const made = join(folder.path, 'nova');
  await (await startEmbeddedPostgres({ dataDir: made })).stop();
  return {
    // Owners are part of a cluster, and Node's own copying keeps none.
    copyTo: async (dataDir) => void (await run('cp', ['-a', made, dataDir], { account: null })),
    remove: () => folder.remove(),
  };
}
