import { CfWorkerJsonSchemaValidator } from '@modelcontextprotocol/client/validators/cf-worker';
import { withinMs } from '../../../platform/threads/index.js';

/** Milliseconds of one check. A server's schema may be made to take for ever. */
const BUDGET_MS = 250;

/** The fault of `args`, as a sentence; null when nothing is, or when that cannot be decided. */
export function check({ schema, args }: { schema: Record<string, unknown>; args: unknown }): string | null {
  try {
    return withinMs(BUDGET_MS, () => {
      const { valid, errorMessage } = new CfWorkerJsonSchemaValidator({ shortcircuit: true }).getValidator(schema)(
        args,
      );
      return valid ? null : (errorMessage ?? 'The arguments do not match the schema of the tool.');
    });
  } catch {
    return null;
  }
}
