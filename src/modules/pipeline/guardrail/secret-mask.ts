import { maskedSecret } from './finding.js';
import { scanText, type ScanBudget } from './text-scan.js';

/** Characters of the shortest thing that any rule takes for a secret, with what must stand around it. */
const SHORTEST = 16;

/**
 * `text` with every secret in it masked, for prompts and for what models say of the work.
 * @throws ScanFailedError, the signal's reason.
 */
export async function maskSecrets(text: string, taskId: string, budget: ScanBudget): Promise<string> {
  if (text.length < SHORTEST) return text;
  const hits = await scanText(text, { budget, secretsOnly: true });
  let result = '';
  let from = 0;
  for (const { label, value, start, end } of hits) {
    if (end <= from) continue;
    result += text.slice(from, Math.max(from, start)) + maskedSecret(label, value, taskId);
    from = end;
  }
  return result + text.slice(from);
}
