import { SECRET_NAME } from './secret-parts.js';

/** Words of a variable's name that speak of a secret, beside those of `SECRET_NAME`. */
const SECRET_WORDS: ReadonlySet<string> = new Set(
  'bearer cred creds dsn hash hmac hook jwt key keys license mnemonic nonce otp pass passphrase passwd pat phrase pin private pw pwd salt seed sid totp webhook'.split(
    ' ',
  ),
);
const BOOLEAN = /^(?:true|false|yes|no|on|off)$/i;
const NUMBER = /^[+-]?(?=(?:\D*\d){1,5}\D*$)\d*\.?\d+$/;
/** Words that configure programs everywhere and that nobody chooses for a secret. */
const ORDINARY =
  /^(?:production|development|staging|testing?|local|debug|verbose|info|notice|warn(?:ing)?|error|silent|trace|none|null|auto|default|always|never|enabled|disabled|stdio|localhost|utf-?8|utc|(?:c|posix|[a-z]{2}_[a-z]{2})(?:\.utf-?8)?|--[a-z-]{3,40})$/i;
const PATH = /^(?:\/|[A-Za-z]:[\\/])/;
/** Of a path, a part that is rather a key: base64 has slashes, too. */
const LONGEST_PART = 32;
/** A part of a URL from this length on may be what lets its holder in. */
const LONG = 12;

/**
 * Whether the value of the variable `name` may be read in what a server says. Everything is a secret but what an admin has
 * listed, and plain settings by a name that speaks of no secret: booleans, numbers of at most five digits, ordinary words,
 * absolute paths, and URLs without user, query, fragment or a part that looks made by chance, as webhooks have.
 */
export function isPublicVariable(name: string, value: string, listed: readonly string[]): boolean {
  if (listed.includes(name)) return true;
  if (speaksOfSecret(name)) return false;
  return BOOLEAN.test(value) || NUMBER.test(value) || ORDINARY.test(value) || isPlainPath(value) || isPlainUrl(value);
}

function speaksOfSecret(name: string): boolean {
  if (SECRET_NAME.test(name)) return true;
  const words = name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z]+/);
  return words.some((word) => SECRET_WORDS.has(word));
}

function isPlainPath(value: string): boolean {
  if (!PATH.test(value) || /[\n\r\0=]/.test(value)) return false;
  return value.split(/[\\/]/).every((part) => part.length < LONGEST_PART || /[ ._-]/.test(part) || !isMixed(part));
}

function isPlainUrl(value: string): boolean {
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s]+$/i.test(value) || !URL.canParse(value)) return false;
  const { username, password, search, hash, host, pathname } = new URL(value);
  if (username !== '' || password !== '' || search !== '' || hash !== '' || /[?#@]/.test(value)) return false;
  if (/hook/i.test(host + pathname)) return false;
  const parts = [...host.split(/[.:]/), ...pathname.split('/').map(decoded)];
  return !parts.some(looksMadeByChance);
}

/** Whether a part of a URL holds a long run of letters and digits that reads like no words. */
function looksMadeByChance(part: string): boolean {
  if (part.length < LONG) return false;
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-/i.test(part)) return true;
  return part.split(/[-_.~+:@ ]/).some((run) => {
    if (run.length >= LONG && /^(?:\d+|[0-9a-f]+)$/i.test(run)) return true;
    if (run.length >= 8 && isMixed(run)) return true;
    return run.length >= 2 * LONG;
  });
}

/** Letters and digits, or capitals within a word as nobody writes names. */
function isMixed(run: string): boolean {
  if (/[A-Za-z]/.test(run) && /\d/.test(run) && !/^[A-Za-z]+\d{1,4}$/.test(run)) return true;
  return /[A-Z]/.test(run) && /[a-z]/.test(run) && !/^[a-z]*(?:[A-Z][a-z]{2,})*$/.test(run);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
