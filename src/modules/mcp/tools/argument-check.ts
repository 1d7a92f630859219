import { createContext, Script } from 'node:vm';
import { CfWorkerJsonSchemaValidator } from '@modelcontextprotocol/client/validators/cf-worker';

/** Milliseconds of one check. A server's schema may be made to take for ever. */
const BUDGET_MS = 250;
const MAX_ARGUMENT_BYTES = 1024 * 1024;

const script = new Script('work()');
const sandbox = createContext({ work: undefined as unknown });

/**
 * Runs synchronous `work` for at most `ms`: V8 stops it at the deadline wherever it is, in a regular expression too.
 * The context is only how Node offers that deadline; `work` runs in its own realm.
 */
function within<T>(ms: number, work: () => T): T {
  sandbox['work'] = work;
  try {
    return script.runInContext(sandbox, { timeout: ms }) as T;
  } finally {
    sandbox['work'] = undefined;
  }
}

/**
 * A check of arguments against a schema that a server wrote: interpreted, so no code is made of it; nothing is fetched; and
 * bounded in time. It returns what is wrong, as a sentence, or null. A check that cannot decide leaves it to the server, which
 * knows its own schema.
 */
export function argumentCheck(schema: Record<string, unknown>): (args: unknown) => string | null {
  let validate: ((args: unknown) => { valid: boolean; errorMessage?: string | undefined }) | undefined;
  return (args) => {
    if (typeof args !== 'object' || args === null || Array.isArray(args)) return 'The arguments must be an object.';
    if (Buffer.byteLength(JSON.stringify(args)) > MAX_ARGUMENT_BYTES) return 'The arguments are larger than 1 MiB.';
    try {
      const result = within(BUDGET_MS, () => {
        validate ??= new CfWorkerJsonSchemaValidator({ shortcircuit: true }).getValidator(schema);
        return validate(args);
      });
      return result.valid ? null : (result.errorMessage ?? 'The arguments do not match the schema of the tool.');
    } catch {
      return null;
    }
  };
}
