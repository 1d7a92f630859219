import { DomainError } from '../../../platform/errors/index.js';

/** Folders inside folders; each level holds a descriptor while it is walked. */
export const MAX_DEPTH = 64;

const MOST_SHOWN = 200;

/** The refusal of a workspace or a tree of which `path` cannot be read; `reason` goes on after the path, without a stop. */
export function unreadable(path: string, reason: string): DomainError {
  const shown = path.length > MOST_SHOWN ? `${path.slice(0, MOST_SHOWN)}…` : path;
  return new DomainError('workspace_unreadable', `"${shown}" ${reason}.`);
}
