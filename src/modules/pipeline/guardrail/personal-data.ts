import type { Severity } from '../../pods/index.js';

/** Somebody's personal data in a text; `key` is its value without the ways of writing it. */
export interface PersonalDataMatch {
  label: string;
  severity: Severity;
  start: number;
  end: number;
  key: string;
  /** Characters of it that may be shown. */
  shown: number;
}

const CARD = /(?<![\w.+/-])\d(?:[ -]?\d){12,18}(?![\w/-]|\.\d)/g;
const IBAN = /(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?(?![A-Za-z0-9])/g;
const US_SSN = /(?<![\w.-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-]|\.\d)/g;
const PHONE = /(?<![\w+])\+[1-9]\d{0,2}(?:[ .-]?\(\d{1,4}\))?(?:[ .-]?\d{2,5}){2,5}(?![\w-]|\.\d)/g;
const EMAIL =
  /(?<![\w.%+-])[A-Za-z0-9][\w.%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,3}\.[A-Za-z]{2,24}(?![\w-])/g;

/** Words near a number without groups that make a card of it. */
const CARD_WORDS = /card|visa|amex|credit|debit|\bpan\b|cvv|cvc|payment/i;
const PHONE_WORDS = /phone|\btel\b|call|mobile|whatsapp|signal|contact|fax|\bsms\b/i;
/** Addresses at these belong to a person, not to an organisation. */
const PERSONAL_MAIL =
  /@(?:gmail|googlemail|outlook|hotmail|live|msn|yahoo|ymail|icloud|me|aol|proton|protonmail|pm|gmx|web|mail|fastmail|zoho|yandex|qq|163)\.[a-z.]{2,6}$/i;
const NOBODY =
  /^(?:no-?reply|do-?not-?reply|test|user|example|sample|foo|bar|someone|somebody|name|e?mail|address|account|your|me|you|info|admin|support|x{2,}|a{2,})(?:[\w.+-]{0,20})@/i;
/** Where authors name themselves. */
const AUTHORS_LINE = /author|maintainer|contributor|signed-off-by|co-authored-by|copyright|git@/i;
const AUTHORS_FILE =
  /(?:^|\/)(?:authors|contributors|maintainers|codeowners|\.mailmap|license|copying|notice|security|readme|code_of_conduct|changelog|package(?:-lock)?\.json|composer\.json|cargo\.toml|pyproject\.toml|setup\.(?:py|cfg)|pom\.xml)[^/]*$/i;

/** Lengths of the IBANs of each country that has them. */
const IBAN_LENGTHS: Readonly<Record<string, number>> = {
  AD: 24,
  AE: 23,
  AL: 28,
  AT: 20,
  AZ: 28,
  BA: 20,
  BE: 16,
  BG: 22,
  BH: 22,
  BI: 27,
  BR: 29,
  BY: 28,
  CH: 21,
  CR: 22,
  CY: 28,
  CZ: 24,
  DE: 22,
  DJ: 27,
  DK: 18,
  DO: 28,
  EE: 20,
  EG: 29,
  ES: 24,
  FI: 18,
  FK: 18,
  FO: 18,
  FR: 27,
  GB: 22,
  GE: 22,
  GI: 23,
  GL: 18,
  GR: 27,
  GT: 28,
  HR: 21,
  HU: 28,
  IE: 22,
  IL: 23,
  IQ: 23,
  IS: 26,
  IT: 27,
  JO: 30,
  KW: 30,
  KZ: 20,
  LB: 28,
  LC: 32,
  LI: 21,
  LT: 20,
  LU: 20,
  LV: 21,
  LY: 25,
  MC: 27,
  MD: 24,
  ME: 22,
  MK: 19,
  MN: 20,
  MR: 27,
  MT: 31,
  MU: 30,
  NI: 28,
  NL: 18,
  NO: 15,
  OM: 23,
  PK: 24,
  PL: 28,
  PS: 29,
  PT: 25,
  QA: 29,
  RO: 24,
  RS: 22,
  RU: 33,
  SA: 24,
  SC: 31,
  SD: 18,
  SE: 24,
  SI: 19,
  SK: 24,
  SM: 27,
  SO: 23,
  ST: 25,
  SV: 28,
  TL: 23,
  TN: 24,
  TR: 26,
  UA: 29,
  VA: 22,
  VG: 24,
  XK: 20,
  YE: 30,
};

/**
 * Payment cards, IBANs, US social security numbers, international phone numbers and addresses at personal mail providers.
 * Numbers are held to their checksums; what names nobody (documentation's numbers and domains, authors of packages) is left
 * out. `path` is the file the text stands in, if any. Linear in the length of `text`.
 */
export function findPersonalData(text: string, path: string | null): PersonalDataMatch[] {
  const found: PersonalDataMatch[] = [];
  const each = (
    pattern: RegExp,
    judge: (value: string, line: () => string) => Omit<PersonalDataMatch, 'start' | 'end'> | null,
  ): void => {
    for (const match of text.matchAll(pattern)) {
      const start = match.index;
      const judged = judge(match[0], () => around(text, start));
      if (judged !== null) found.push({ ...judged, start, end: start + match[0].length });
    }
  };
  each(CARD, (value, line) => {
    const digits = value.replace(/\D/g, '');
    if (!isCard(digits) || !(isGroupedCard(value) || [15, 16].includes(digits.length) || CARD_WORDS.test(line())))
      return null;
    return { label: 'payment card', severity: 'high', key: digits, shown: 4 };
  });
  each(IBAN, (value) => {
    const key = value.replaceAll(' ', '');
    return isIban(key) ? { label: 'IBAN', severity: 'high', key, shown: 4 } : null;
  });
  each(US_SSN, (value) => ({ label: 'US social security number', severity: 'high', key: value, shown: 0 }));
  each(PHONE, (value, line) => {
    const key = `+${value.replace(/\D/g, '')}`;
    const grouped = (value.match(/[ .()-]+/g)?.length ?? 0) >= 2;
    if (key.length < 10 || key.length > 16 || isFictional(key) || !(grouped || PHONE_WORDS.test(line()))) return null;
    return { label: 'phone number', severity: 'medium', key, shown: 3 };
  });
  if (path === null || !AUTHORS_FILE.test(path)) {
    each(EMAIL, (value, line) => {
      if (!PERSONAL_MAIL.test(value) || NOBODY.test(value) || AUTHORS_LINE.test(line())) return null;
      return { label: 'personal e-mail address', severity: 'medium', key: value.toLowerCase(), shown: 0 };
    });
  }
  return found;
}

/** The line at `offset`, or what of it is near. */
function around(text: string, offset: number): string {
  const from = Math.max(text.lastIndexOf('\n', offset - 1) + 1, offset - 100);
  const end = text.indexOf('\n', offset);
  return text.slice(from, Math.min(end < 0 ? text.length : end, offset + 140));
}

function isCard(digits: string): boolean {
  if (!hasCardPrefix(digits) || /^(\d)\1+$/.test(digits)) return false;
  let sum = 0;
  for (let index = 0; index < digits.length; index += 1) {
    const digit = Number(digits[digits.length - 1 - index]);
    const doubled = index % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

function hasCardPrefix(digits: string): boolean {
  const { length } = digits;
  const prefix = Number(digits.slice(0, 4));
  if (digits.startsWith('4')) return length === 13 || length === 16 || length === 19;
  if ((prefix >= 5100 && prefix <= 5599) || (prefix >= 2221 && prefix <= 2720)) return length === 16;
  if (/^3[47]/.test(digits)) return length === 15;
  if (/^(?:6011|64[4-9]|65)/.test(digits) || /^35(?:2[89]|[3-8])/.test(digits) || digits.startsWith('62'))
    return length >= 16;
  return /^3(?:0[0-5]|[689])/.test(digits) && length === 14;
}

function isGroupedCard(value: string): boolean {
  return /^\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?$|^\d{4}([ -])\d{6}\2\d{4,5}$/.test(value);
}

function isIban(iban: string): boolean {
  if (IBAN_LENGTHS[iban.slice(0, 2)] !== iban.length) return false;
  let rest = 0;
  for (const char of iban.slice(4) + iban.slice(0, 4)) {
    const value = Number.parseInt(char, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest === 1;
}

/** Numbers that exist for films and documentation. */
function isFictional(phone: string): boolean {
  return (
    /^\+1\d{3}55501\d\d$/.test(phone) ||
    /^\+44(?:7700900|20794600|1632960)/.test(phone) ||
    /^\+1?(?:123456789|000|(\d)\1{8})/.test(phone)
  );
}
