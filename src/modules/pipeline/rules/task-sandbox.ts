import { isWithin, SANDBOX_TIERS, type SandboxTier } from '../../../config/index.js';
import type { PodSnapshot } from '../../pods/index.js';

/** The tier that a task's stages run in: the pod's, or the narrower one the task asked for. */
export function effectiveTier(run: {
  pod: Pick<PodSnapshot, 'sandbox'>;
  metadata: Record<string, unknown>;
}): SandboxTier {
  const asked = SANDBOX_TIERS.find((tier) => tier === run.metadata.sandbox_override);
  return asked !== undefined && isWithin(asked, run.pod.sandbox) ? asked : run.pod.sandbox;
}
