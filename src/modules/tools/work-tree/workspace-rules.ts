import { realpathSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { EnvironmentError, type AppConfig } from '../../../config/index.js';
import { SERVICE_ROOT } from '../sandbox/service-folders.js';

const OWN_FOLDERS = ['src', 'migrations', 'docs', 'dist', 'node_modules', '.git'];

/**
 * Refuses a workspace from which tools could reach the service: one that contains, equals or lies inside its data folder
 * or a folder of its code. Links are resolved first. To be called before anything is served.
 * @throws EnvironmentError naming NOVA_WORKSPACE.
 */
export function assertWorkspaceAllowed(config: Pick<AppConfig, 'workspace' | 'dataDir'>, service = SERVICE_ROOT): void {
  const workspace = real(config.workspace);
  const guarded = [config.dataDir, ...OWN_FOLDERS.map((name) => join(service, name))];
  for (const folder of guarded) {
    const place = real(folder);
    if (!contains(workspace, place) && !contains(place, workspace)) continue;
    const what = folder === config.dataDir ? 'the data folder' : `the service's ${basename(folder)}`;
    throw new EnvironmentError([
      { variable: 'NOVA_WORKSPACE', detail: `must neither contain nor lie inside ${what} (./workspace is fine)` },
    ]);
  }
}

function contains(outer: string, inner: string): boolean {
  return inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : outer + sep);
}

/** `path` with the links of its existing part resolved. */
function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(real(parent), basename(path));
  }
}
