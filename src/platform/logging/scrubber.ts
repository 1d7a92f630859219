import type { AppConfig } from '../../config/index.js';

const HIDDEN = '[redacted]';
/** Shorter values are words that occur anywhere; the patterns below still catch them inside URLs and headers. */
const SHORTEST_SECRET = 6;
/** Secrets remembered at once; past it the oldest one is forgotten. */
const MOST_SECRETS = 1_000;

// Every repetition is bounded or of one character class, so that no text makes a pattern slow.
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/sk-nova-[A-Za-z0-9]{8,}/g, `sk-nova-${HIDDEN}`],
  [/\b(sk|pk|rk)-(?!nova-)[A-Za-z0-9_-]{16,200}/g, `$1-${HIDDEN}`],
  [/\b(AKIA|ASIA)[A-Z0-9]{16}\b/g, HIDDEN],
  [/\b(gh[pousr]_|github_pat_|glpat-|xox[abprs]-)[A-Za-z0-9_-]{16,255}/g, HIDDEN],
  [/\b(bearer|basic)(\s{1,8})[A-Za-z0-9._~+/=-]{8,}/gi, `$1$2${HIDDEN}`],
  [/\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s"'<>@/]{0,512}:[^\s"'<>@]{0,512}@/gi, `$1${HIDDEN}@`],
  // As a file holds it and as JSON escapes it; whole escapes only, so that JSON stays JSON.
  [
    /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s:,]|\\[nrt\\]|-(?!-)){0,20000}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?/g,
    HIDDEN,
  ],
  [
    /("(?:authorization|proxy-authorization|x-api-key|x-admin-secret|cookie|set-cookie|password|raw_key|api_?key|client_secret)"\s{0,4}:\s{0,4})"(?:[^"\\]|\\.)*"/gi,
    `$1"${HIDDEN}"`,
  ],
];

/**
 * Takes secrets out of text that leaves the process: log lines, error columns, tool results. Knows the secrets of the
 * configuration by value and everything else by shape. The log level does not change what it hides.
 */
export class Scrubber {
  private readonly secrets = new Set<string>();

  /** A scrubber that knows every secret of `config`. */
  static of(config: AppConfig): Scrubber {
    const scrubber = new Scrubber();
    scrubber.remember(config.auth.adminSecret);
    for (const url of [
      config.database.url,
      config.redis.url,
      config.models.gateway?.baseUrl,
      config.models.ollamaBaseUrl,
    ]) {
      scrubber.rememberPassword(url);
    }
    scrubber.remember(config.models.gateway?.apiKey);
    for (const provider of Object.values(config.models.direct)) {
      scrubber.remember(provider.apiKey);
      scrubber.rememberPassword(provider.baseUrl);
    }
    return scrubber;
  }

  /** Hides `secret` from now on, also as it stands in JSON and in URLs. */
  remember(secret: string | null | undefined): void {
    if (!secret || secret.length < SHORTEST_SECRET) return;
    for (const form of [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret.toWellFormed())]) {
      this.secrets.add(form);
    }
    for (const oldest of this.secrets) {
      if (this.secrets.size <= MOST_SECRETS) break;
      this.secrets.delete(oldest);
    }
  }

  /** `text` without secrets. Safe on serialized JSON: what it puts in needs no escape. */
  scrub(text: string): string {
    let clean = text;
    for (const secret of this.secrets) clean = clean.replaceAll(secret, HIDDEN);
    for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement);
    return clean;
  }

  private rememberPassword(url: string | null | undefined): void {
    if (!url || !URL.canParse(url)) return;
    const { password } = new URL(url);
    this.remember(password);
    try {
      this.remember(decodeURIComponent(password));
    } catch {
      // A password with a stray % is only known as it is written.
    }
  }
}
