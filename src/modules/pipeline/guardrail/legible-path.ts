import { maskedSecret } from './finding.js';
import { legible } from './injection-markers.js';
import { findSecrets } from './secret-rules.js';

/** A place as people may read it: file names may hold what they should not. */
export function legiblePath(place: string, taskId: string): string {
  let shown = place;
  for (const { label, value } of findSecrets(place))
    shown = shown.replaceAll(value, maskedSecret(label, value, taskId));
  return legible(shown, 400);
}
