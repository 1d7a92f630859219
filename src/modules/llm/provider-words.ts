import type { SecretCover } from '../../platform/logging/index.js';

/** Characters of a provider's words that callers are shown. */
const MOST_SHOWN = 300;
/** Keys by their usual beginnings, tokens, credentials in addresses, and whatever else is long and looks made up. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\b(?:sk|pk|rk|key|gsk|xai|hf|r8|csk|nvapi|pplx|fw|tgp|glpat|ghp)[-_][\w-]{6,}/g, '[redacted]'],
  [/\bAIza[\w-]{10,}/g, '[redacted]'],
  [/\beyJ[\w-]{8,}(\.[\w-]+){1,2}/g, '[redacted]'],
  [/\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi, '$1 [redacted]'],
  [/\/\/[^\s/@]+@/g, '//[redacted]@'],
  [/\b(?=[\w-]*\d)(?=[\w-]*[a-z])[\w-]{32,}/gi, '[redacted]'],
];

/**
 * Words of a provider as callers and logs may see them: on one line, cut, without what `secrets` covers in any of its forms,
 * and without anything that looks like a secret.
 */
export function shownWords(words: string, secrets: SecretCover): string {
  let shown = secrets.hide(words.slice(0, 8_000));
  for (const [pattern, mask] of SECRETS) shown = shown.replace(pattern, mask);
  shown = shown.replace(/[\p{Cc}\s]+/gu, ' ').trim();
  return (shown.length > MOST_SHOWN ? `${shown.slice(0, MOST_SHOWN)}…` : shown).toWellFormed();
}
