import { isWithin, SANDBOX_TIERS, type SandboxTier } from '../../../config/index.js';
import type { PodSnapshot } from '../../pods/index.js';

/** The tier that a task asked for, if it asked for one that there is. */
export function askedTier({ metadata }: { metadata: Record<string, unknown> }): SandboxTier | undefined {
  return SANDBOX_TIERS.find((tier) => tier === metadata.sandbox_override);
}

/** The tier that a task's stages run in: the pod's, or the narrower one the task asked for. */
export function effectiveTier(task: {
  pod: Pick<PodSnapshot, 'sandbox'>;
  metadata: Record<string, unknown>;
}): SandboxTier {
  const asked = askedTier(task);
  return asked !== undefined && isWithin(asked, task.pod.sandbox) ? asked : task.pod.sandbox;
}
