import type { AppConfig } from '../../config/index.js';
import { SecretCover } from './secret-cover.js';

const HIDDEN = '[redacted]';
/** Shorter values are words that occur anywhere; the patterns below still catch them inside URLs and headers. */
const SHORTEST_SECRET = 6;
/** Shorter values may be words of the files that tools read, and protect little. */
const SHORTEST_IN_RESULTS = 12;
/** Secrets that come and go, remembered at once; past it the one that was named longest ago is forgotten. */
const MOST_PASSING = 2_000;

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

/** `text` with `mark` for what looks like a secret. Safe on serialized JSON where `mark` needs no escape. */
export function hideShapes(text: string, mark = HIDDEN): string {
  let clean = text;
  for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement.replace(HIDDEN, mark));
  return clean;
}

/**
 * Takes secrets out of text that leaves the process: log lines and tool results. Knows the secrets of the configuration by
 * value and everything else by shape. The log level does not change what it hides.
 */
export class Scrubber {
  private readonly kept = new Set<string>();
  private readonly passing = new Set<string>();
  private readonly all = new SecretCover();
  private readonly inResults = new SecretCover();

  /** A scrubber that knows every secret of `config`. */
  static of(config: AppConfig): Scrubber {
    const scrubber = new Scrubber();
    for (const secret of [config.auth.adminSecret, ...config.secrets.keys]) scrubber.keep(secret);
    for (const url of [
      config.database.url,
      config.redis.url,
      config.models.gateway?.baseUrl,
      config.models.ollamaBaseUrl,
      config.proxy.http,
      config.proxy.https,
    ]) {
      scrubber.keepPassword(url);
    }
    scrubber.keep(config.models.gateway?.apiKey);
    for (const provider of Object.values(config.models.direct)) {
      scrubber.keep(provider.apiKey);
      scrubber.keepPassword(provider.baseUrl);
    }
    return scrubber;
  }

  /** Hides a secret of the service itself for good. */
  keep(secret: string | null | undefined): void {
    if (!secret || secret.length < SHORTEST_SECRET) return;
    this.kept.add(secret);
    this.inResults.cover([...this.kept].filter(({ length }) => length >= SHORTEST_IN_RESULTS));
    this.all.cover([...this.kept, ...this.passing]);
  }

  /** Hides secrets of something that may be taken away again, until too many others were named after them. */
  remember(secrets: readonly string[]): void {
    for (const secret of secrets) {
      this.passing.delete(secret);
      if (secret.length >= SHORTEST_SECRET) this.passing.add(secret);
    }
    for (const oldest of this.passing) {
      if (this.passing.size <= MOST_PASSING) break;
      this.passing.delete(oldest);
    }
    this.all.cover([...this.kept, ...this.passing]);
  }

  /** `text` without secrets. Safe on serialized JSON: what it puts in needs no escape. */
  scrub(text: string): string {
    return hideShapes(this.all.hide(text));
  }

  /** `text` without the secrets of the service itself; what only looks like a secret may be what a tool is asked about. */
  scrubResult(text: string): string {
    return this.inResults.hide(text);
  }

  private keepPassword(url: string | null | undefined): void {
    const written = /^[^:/?#]+:\/\/[^:]*:(.*)@/s.exec(url ?? '')?.[1];
    const parsed = url && URL.canParse(url) ? new URL(url) : null;
    for (const password of [written, parsed?.password, parsed?.searchParams.get('password')]) {
      if (!password) continue;
      this.keep(password);
      try {
        this.keep(decodeURIComponent(password));
      } catch {
        // A password with a stray % is only known as it is written.
      }
    }
  }
}
