import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new folder for temporary files: in the system's place for them or, where that cannot be written, in `dataDir`. */
export async function temporaryFolder(name: string, dataDir: string, system = tmpdir()): Promise<string> {
  try {
    return await mkdtemp(join(system, `nova-${name}-`));
  } catch {
    const folder = join(dataDir, 'tmp');
    await mkdir(folder, { recursive: true, mode: 0o711 });
    return mkdtemp(join(folder, `${name}-`));
  }
}
