import { rules } from '@secretlint/secretlint-rule-preset-recommend';
import type { SecretLintRuleContext, SecretLintSourceCode } from '@secretlint/types';
import type { Severity } from '../../pods/index.js';
import { VENDOR_KEYS } from './vendor-keys.js';

/** A secret in a text: `value` is exactly what stands at its place. */
export interface SecretMatch {
  label: string;
  severity: Severity;
  start: number;
  end: number;
  value: string;
}

interface OwnRule {
  label: string;
  /** Global and with bounded repetition. The first group, where there is one, is the secret. */
  pattern: RegExp;
  severity?: Severity;
  /** What the value must look like, for patterns that only know what stands around it. */
  looks?: (value: string) => boolean;
}

/** Rules that secretlint's preset does not have, or only has in a form that leaves the key's newer kinds out. */
const OWN_RULES: readonly OwnRule[] = [
  { label: 'Nova API key', pattern: /sk-nova-[\w-]{20,128}/g },
  ...VENDOR_KEYS,
  {
    label: 'private key',
    pattern:
      /-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----[\s\\nr"'+]{0,40}(?:[A-Za-z-]{1,40}: [^\n]{0,100}\n\s{0,10}){0,4}[A-Za-z0-9+/=]{40}[A-Za-z0-9+/=\s\\"',]{0,10000}/g,
  },
  {
    label: 'bearer token',
    pattern: /\bBearer[ \t]{1,4}([\w.~+/-]{32,2000}={0,2})/g,
    severity: 'high',
    looks: isRandom,
  },
  {
    label: 'credential',
    pattern:
      /(?:passwo?r?d|secret|api[_-]?key|access[_-]?key|token|credential)["'`]?[ \t]{0,10}(?::|=>?|:=)[ \t]{0,10}["'`]?([A-Za-z0-9+/=_-]{20,200})(?![A-Za-z0-9+/=_-])/gi,
    severity: 'high',
    looks: isRandom,
  },
  {
    label: 'credential',
    pattern:
      /(?:secret[_-]?key|api[_-]?key|access[_-]?key|auth[_-]?token|client[_-]?secret)["'`]?[ \t]{0,10}(?::|=>?|:=)[ \t]{0,10}["'`]?([a-f0-9]{32,128})(?![\w-])/gi,
    severity: 'high',
    looks: (value) => new Set(value).size >= 8,
  },
  {
    label: 'password',
    pattern:
      /(?:passwo?r?d|passphrase)["'`]?[ \t]{0,10}(?::|=>?|:=)[ \t]{0,10}["'`]?([^\s"'`<>{}()$,;]{12,100})(?![^\s"'`,;])/gi,
    severity: 'high',
    looks: (value) => [/[a-z]/, /[A-Z]/, /\d/, /[!@#%^&*~?+]/].every((kind) => kind.test(value)),
  },
  {
    label: 'password in a URL',
    pattern:
      /\b(?:rediss?|amqps?|mqtts?|nats|ftps?|sftp|ssh|smtps?|ldaps?|clickhouse|sqlserver|mssql|bolt|neo4j)(?:\+\w{1,8})?:\/\/[^\s:/@"'<>]{0,100}:([^\s:/@"'<>${}]{6,200})@(?!localhost\b|127\.|\[::1\])/g,
    severity: 'high',
  },
  {
    label: 'basic credentials',
    pattern: /\bauthorization["'`]?[ \t]{0,4}[:=,][ \t]{0,4}["'`]?basic[ \t]{1,4}([A-Za-z0-9+/]{16,400}={0,2})/gi,
    severity: 'high',
    looks: (value) => {
      const password = /^[ -~]{1,200}?:([ -~]{8,200})$/.exec(Buffer.from(value, 'base64').toString('latin1'))?.[1];
      return password !== undefined && !PLACEHOLDER.test(password) && !DEFAULT_PASSWORD.test(password);
    },
  },
  {
    label: 'JSON web token',
    pattern: /\beyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.([\w-]{40,1000})(?![\w-])/g,
    severity: 'high',
    looks: (value) => isRandom(value) && !SAMPLE_SIGNATURE.test(value),
  },
];

/** What stands where a secret would, in documentation and templates. */
const PLACEHOLDER = /x{5}|\*{3}|\.{3}|example|placeholder|your[_-]|changeme|(.)\1{7}/i;
const DEFAULT_PASSWORD = /^(?:password\d{0,4}|passw0rd|postgres|mysql|root|admin|guest|secret|test|nova)$/i;
/** Of the token that documentation of JSON web tokens shows. */
const SAMPLE_SIGNATURE = /^SflKxwRJSMeKKF2QT4fw/;
/** Bits for each character that hex digests stay below and random base62 of twenty characters or more goes above. */
const RANDOM_BITS = 4.05;

const LABELS: Readonly<Record<string, string>> = {
  AWSAccessKeyID: 'AWS access key id',
  AWSSecretAccessKey: 'AWS secret access key',
  PackageJSON_xOauthToken: 'GitHub token',
  NPM_ACCESS_TOKEN: 'npm token',
  SLACK_TOKEN: 'Slack token',
  IncomingWebhook: 'Slack webhook',
  BasicAuth: 'password in a URL',
  OPENAI_TOKEN: 'OpenAI API key',
  ANTHROPIC_API_KEY: 'Anthropic API key',
  LINEAR_API_TOKEN: 'Linear API key',
  PrivateKey: 'private key',
  SENDGRID_KEY: 'SendGrid API key',
  SHOPIFY_KEY: 'Shopify key',
  GITHUB_TOKEN: 'GitHub token',
  OPS_TOKEN: '1Password token',
  MongoDBConnection: 'password in a URL',
  MySQLConnection: 'password in a URL',
  PostgreSQLConnection: 'password in a URL',
};

/** Twelve digits after "account" are no secret. */
const IGNORED_MESSAGES = ['AWSAccountID'];
/** Comments in the text that switch rules off: the text's author is who is being checked. */
const IGNORED_RULES = ['@secretlint/secretlint-rule-filter-comments'];

/**
 * The secrets that stand in `text` as they are. Time is linear in its length: every pattern, secretlint's too, repeats with
 * bounds. Rules are called without secretlint's core, whose profiler keeps a record of every call for the life of the
 * process.
 */
export function findSecrets(text: string): SecretMatch[] {
  const found = [...presetMatches(text), ...OWN_RULES.flatMap((rule) => ownMatches(text, rule))].filter(
    // Long runs of one letter are ordinary in the encoding of keys.
    ({ label, value }) => label === 'private key' || !PLACEHOLDER.test(value),
  );
  return withoutOverlaps(found);
}

function presetMatches(text: string): SecretMatch[] {
  const found: SecretMatch[] = [];
  const context: SecretLintRuleContext = {
    sharedOptions: {},
    createTranslator: () => (messageId, data) => ({ message: '', messageId: String(messageId), data }),
    ignore: () => undefined,
    report: ({ message, range }) => {
      if (IGNORED_MESSAGES.includes(message.messageId)) return;
      const data = Object.entries(message.data ?? {}).find(
        ([key, value]) => typeof value === 'string' && key !== 'typeName',
      );
      const whole = typeof data?.[1] === 'string' ? data[1] : text.slice(range[0], range[1]);
      const isUrl = LABELS[message.messageId] === 'password in a URL';
      if (isUrl && isLocalDefault(whole)) return;
      const value = (isUrl ? /\/\/[^:/\s]*:([^@/\s]+)@/.exec(whole)?.[1] : undefined) ?? whole;
      const start = text.indexOf(value, text.indexOf(whole, range[0]) + (isUrl ? whole.indexOf(`:${value}@`) : 0));
      if (start < 0) return;
      found.push({
        label: LABELS[message.messageId] ?? message.messageId,
        severity: isUrl ? 'high' : 'critical',
        start,
        end: start + value.length,
        value,
      });
    },
  };
  // Neither a path nor an extension: with those, rules would read files of this machine.
  const source = {
    content: text,
    filePath: undefined,
    ext: '',
    contentType: 'text',
  } as unknown as SecretLintSourceCode;
  for (const rule of rules) {
    if (IGNORED_RULES.includes(rule.meta.id)) continue;
    const handler = rule.create(context, { enableIDScanRule: true });
    void handler.file?.(source);
  }
  return found;
}

function ownMatches(text: string, rule: OwnRule): SecretMatch[] {
  // Almost every text has no match, and `matchAll` first copies its pattern.
  if (text.search(rule.pattern) < 0) return [];
  const found: SecretMatch[] = [];
  for (const match of text.matchAll(rule.pattern)) {
    const value = match[1] ?? match[0];
    if (rule.looks && !rule.looks(value)) continue;
    const start = match.index + match[0].lastIndexOf(value);
    found.push({ label: rule.label, severity: rule.severity ?? 'critical', start, end: start + value.length, value });
  }
  return found;
}

/** Whether `url` leads into this machine with a password that everybody knows. */
function isLocalDefault(url: string): boolean {
  const [, user = '', password = ''] = /\/\/([^:/\s]*):([^@/\s]+)@(?:localhost|127\.0\.0\.1|\[::1\])/.exec(url) ?? [];
  return password !== '' && (password === user || DEFAULT_PASSWORD.test(password));
}

function isRandom(value: string): boolean {
  if (!/\d.*\d.*\d/.test(value) || !/[a-z]/.test(value) || !/[A-Z]/.test(value)) return false;
  const counts = new Map<string, number>();
  for (const char of value) counts.set(char, (counts.get(char) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / value.length) * Math.log2(count / value.length);
  return bits >= RANDOM_BITS;
}

/** Of overlapping matches the first rule's stays, widened to all of them. */
function withoutOverlaps(found: readonly SecretMatch[]): SecretMatch[] {
  const kept: SecretMatch[] = [];
  for (const match of [...found].sort((a, b) => a.start - b.start || b.end - a.end)) {
    const last = kept.at(-1);
    if (last === undefined || match.start >= last.end) kept.push({ ...match });
    else if (match.end > last.end) {
      last.value += match.value.slice(last.end - match.start);
      last.end = match.end;
    }
  }
  return kept;
}
