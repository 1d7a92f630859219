/** The sandbox tiers, narrowest first. */
export const SANDBOX_TIERS = ['isolated', 'workspace', 'nova', 'host'] as const;
export type SandboxTier = (typeof SANDBOX_TIERS)[number];

/** Whether `tier` gives no more than `limit`. */
export function isWithin(tier: SandboxTier, limit: SandboxTier): boolean {
  return SANDBOX_TIERS.indexOf(tier) <= SANDBOX_TIERS.indexOf(limit);
}

/** The one of two tiers that gives less. */
export function narrower(one: SandboxTier, other: SandboxTier): SandboxTier {
  return isWithin(one, other) ? one : other;
}
