import { CfWorkerJsonSchemaValidator } from '@modelcontextprotocol/client/validators/cf-worker';
import { withinMs } from '../../../platform/threads/index.js';

/** Milliseconds of one check. A server's schema may be made to take for ever. */
const BUDGET_MS = 250;

/** The fault of `args`, as a sentence; null when nothing is, or when that cannot be decided. */
export function check({ schema, args }: { schema: Record<string, unknown>; args: unknown }): string | null {
  try {
    return withinMs(BUDGET_MS, () => {
      const validator = new CfWorkerJsonSchemaValidator({ shortcircuit: true }).getValidator(schema);
      const { valid, errorMessage } = validator(bare(args));
      return valid ? null : (errorMessage ?? 'The arguments do not match the schema of the tool.');
    });
  } catch {
    return null;
  }
}

/** `value` without what objects inherit, which the validator would take for members: `constructor`, `__proto__`. */
function bare(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bare);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [name, member] of Object.entries(value)) copy[name] = bare(member);
  return copy;
}
