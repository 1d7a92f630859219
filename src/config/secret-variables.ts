import { readFileSync, statSync } from 'node:fs';
import type { VariableFault } from './environment-error.js';

/** Variables that hold a secret; they leave the process's environment once they are read, so that no child inherits them. */
export const SECRET_VARIABLES = [
  'DATABASE_URL',
  'REDIS_URL',
  'ADMIN_SECRET',
  'SECRETS_KEY',
  'LLM_BASE_URL',
  'LLM_API_KEY',
  'OPENAI_API_KEY',
  'ANTHROPIC_API_KEY',
  'GOOGLE_GENERATIVE_AI_API_KEY',
  'MISTRAL_API_KEY',
  'GROQ_API_KEY',
  'HTTP_PROXY',
  'HTTPS_PROXY',
] as const;

/** The variable that names the file which holds the secret of `name`: a secret that is given so is never in an environment. */
export const secretFileVariable = (name: string): string => `${name}_FILE`;

const LARGEST_SECRET_FILE = 65_536;

/** Fills `present` with the secrets whose files it names; what is wrong with them. */
export function readSecretFiles(present: Record<string, string | undefined>): VariableFault[] {
  const faults: VariableFault[] = [];
  for (const name of SECRET_VARIABLES) {
    const variable = secretFileVariable(name);
    const path = present[variable];
    if (path === undefined) continue;
    if (present[name] !== undefined) {
      faults.push({ variable, detail: `must not be set beside ${name}` });
      continue;
    }
    try {
      present[name] = secretIn(path.trim());
    } catch (error) {
      faults.push({ variable, detail: (error as Error).message });
    }
  }
  return faults;
}

/** @throws Error with the rest of a sentence that begins with the variable's name. */
function secretIn(path: string): string {
  const text = ((): string => {
    try {
      const file = statSync(path);
      // Only a regular file is sure to end.
      if (!file.isFile() || file.size > LARGEST_SECRET_FILE) return '';
      return readFileSync(path, 'utf8')
        .replace(/^\uFEFF/, '')
        .trim();
    } catch {
      throw new Error('must name a file that can be read');
    }
  })();
  if (text === '') throw new Error(`must name a file with a secret of at most ${LARGEST_SECRET_FILE} bytes`);
  return text;
}
