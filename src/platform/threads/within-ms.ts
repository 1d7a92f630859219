import { createContext, Script } from 'node:vm';

const script = new Script('work()');
const sandbox = createContext({ work: undefined as unknown });

/**
 * Runs synchronous `work` for at most `ms`: V8 stops it at the deadline wherever it is, in a regular expression too.
 * The context is only how Node offers that deadline; `work` runs in its own realm.
 */
export function withinMs<T>(ms: number, work: () => T): T {
  sandbox['work'] = work;
  try {
    return script.runInContext(sandbox, { timeout: ms }) as T;
  } finally {
    sandbox['work'] = undefined;
  }
}
