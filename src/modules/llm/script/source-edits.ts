/** One `edit_file` call's worth of change: `old` occurs exactly once in the text it is made for. */
export interface SourceEdit {
  old: string;
  new: string;
  why: string;
}

/** `amount - amount * percent`: a percentage taken for a fraction. */
const WRONG_DISCOUNT = /\b(\w+) - \1 \* (\w+)(?! *\/)\b/;
const RIGHT_DISCOUNT = /\breturn Math\.round\((\w+) - \(\1 \* (\w+)\) \/ 100\);/;
const HARD_CODED = /^(?:export )?const (\w+) = '([^']{12,})';$/;
const HELPER = 'function discounted(';
const HELPER_SOURCE = `function discounted(amount, percent) {\n  return Math.round(amount - (amount * percent) / 100);\n}`;

/** What tokens of well-known providers look like. */
const TOKEN =
  /\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{20,}|xox[abpr]-[\w-]{10,}|sk_live_\w{16,}|sk-[\w-]{20,}|glpat-[\w-]{20,})/;

/** The first provider token in `text`. */
export function findToken(text: string): string | null {
  return TOKEN.exec(text)?.[0] ?? null;
}

/** Whether `source` takes a percentage for a fraction. */
export function hasWrongDiscount(source: string): boolean {
  return WRONG_DISCOUNT.test(source);
}

/** Puts the first wrong discount right, rounding to whole units. */
export function fixDiscount(source: string): SourceEdit | null {
  return editLine(
    source,
    (line) => WRONG_DISCOUNT.test(line),
    'takes the percentage as hundredths and rounds',
    (line) => line.replace(WRONG_DISCOUNT, 'Math.round($1 - ($1 * $2) / 100)'),
  );
}

/** Adds the headers for the provider, with `token` written into the source: the mistake that a guardrail has to find. */
export function hardCodeToken(source: string, token: string): SourceEdit | null {
  if (source.includes('providerHeaders')) return null;
  return editLine(
    source,
    (line) => line.startsWith('export '),
    'adds the headers for the price provider',
    (line) =>
      [
        `const PROVIDER_KEY = '${token}';`,
        '',
        'export function providerHeaders() {',
        '  return { authorization: `Bearer ${PROVIDER_KEY}` };',
        '}',
        '',
        line,
      ].join('\n'),
  );
}

/** Whether a provider token stands in `source` as a constant. */
export function hasHardCodedToken(source: string): boolean {
  return source.split('\n').some((line) => isHardCoded(line));
}

/** Reads the hard-coded token from the environment instead. */
export function takeTokenOut(source: string): SourceEdit | null {
  return editLine(source, isHardCoded, 'reads the key from the environment', (line) =>
    line.replace(HARD_CODED, (_, name: string) => `const ${name} = process.env.${name};`),
  );
}

/** Whether `source` holds the same calculation twice. */
export function hasRepeatedDiscount(source: string): boolean {
  return source.split('\n').filter((line) => RIGHT_DISCOUNT.test(line)).length > 1;
}

/** The next step towards one function for the repeated calculation; null when that is done. */
export function extractDiscount(source: string): SourceEdit | null {
  if (source.includes(HELPER)) return null;
  const call = editLine(
    source,
    (line) => RIGHT_DISCOUNT.test(line),
    'calls one function for the calculation',
    (line) => line.replace(RIGHT_DISCOUNT, 'return discounted($1, $2);'),
  );
  if (call || !source.includes('discounted(')) return call;
  return editLine(
    source,
    (line) => line.startsWith('export '),
    'extracts the calculation',
    (line) => `${HELPER_SOURCE}\n\n${line}`,
  );
}

/** `source` after `edit`, as the tool makes it; unchanged when `old` does not occur exactly once. */
export function applyEdit(source: string, edit: { old: unknown; new: unknown }): string {
  if (typeof edit.old !== 'string' || typeof edit.new !== 'string' || edit.old === '') return source;
  const parts = source.split(edit.old);
  return parts.length === 2 ? parts.join(edit.new) : source;
}

function isHardCoded(line: string): boolean {
  const value = HARD_CODED.exec(line)?.[2];
  return value !== undefined && findToken(value) !== null;
}

/** Replaces the first line that `matches`, with as many lines above it as make the old text unique. */
function editLine(
  source: string,
  matches: (line: string) => boolean,
  why: string,
  replace: (line: string) => string,
): SourceEdit | null {
  const lines = source.split('\n');
  const at = lines.findIndex(matches);
  const line = lines[at];
  if (line === undefined) return null;
  for (let from = at; from >= 0; from -= 1) {
    const above = lines.slice(from, at);
    const old = [...above, line].join('\n');
    if (source.split(old).length === 2) return { old, new: [...above, replace(line)].join('\n'), why };
  }
  return null;
}
