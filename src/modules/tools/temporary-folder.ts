import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../../platform/folders/index.js';

/** A new folder for temporary files: in the system's place for them or, where that cannot be written, in `dataDir`. */
export async function temporaryFolder(name: string, dataDir: string, system = tmpdir()): Promise<string> {
  try {
    return await mkdtemp(join(system, `nova-${name}-`));
  } catch {
    const folder = join(dataDir, 'tmp');
    await makeFolder(folder, 0o711);
    return mkdtemp(join(folder, `${name}-`));
  }
}
