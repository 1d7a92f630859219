import { homedir } from 'node:os';

/** The home of the service's user; `otherwise` for one that has none: no HOME, or an empty one, and no entry in passwd. */
export function homeOr(otherwise: string): string {
  try {
    return homedir() || otherwise;
  } catch {
    return otherwise;
  }
}
