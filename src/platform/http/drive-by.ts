import type { IncomingHttpHeaders } from 'node:http';
import { isLoopbackHost } from '../../config/index.js';
import { DomainError } from '../errors/index.js';

/** The host name in a `Host` header or an origin, without port, brackets' content kept; null when there is none. */
function hostNameOf(authority: string): string | null {
  if (!/^[\w.\-[\]:]{1,255}$/.test(authority) || !URL.canParse(`http://${authority}`)) return null;
  return new URL(`http://${authority}`).hostname.replace(/\.$/, '').toLowerCase();
}

/** Whether the request shows a credential, be it right or wrong. */
export function showsCredential(headers: IncomingHttpHeaders): boolean {
  return ['x-admin-secret', 'x-api-key', 'authorization'].some((name) => headers[name] !== undefined);
}

/**
 * Keeps web pages from driving the service: a page on another origin is refused by its `Origin`, a page whose name was
 * rebound to this machine by its `Host`.
 */
export class DriveByRules {
  private readonly origins: ReadonlySet<string>;
  private readonly hosts: ReadonlySet<string>;

  constructor(rules: { corsOrigins: readonly string[]; allowedHosts: readonly string[] }) {
    this.origins = new Set(rules.corsOrigins.map((origin) => origin.toLowerCase().replace(/\/$/, '')));
    this.hosts = new Set(rules.allowedHosts.map((host) => hostNameOf(host) ?? host.toLowerCase()));
  }

  /** The rule of every route while auth is off. @throws DomainError `host_not_allowed` or `origin_not_allowed`. */
  check(headers: IncomingHttpHeaders): void {
    this.checkHost(headers);
    this.checkOrigin(headers);
  }

  /**
   * The rule of what callers on this machine read without a credential, with auth on too. A scraper that shows a credential may
   * address the service by any name: a page cannot know one.
   * @throws DomainError `host_not_allowed` or `origin_not_allowed`.
   */
  checkLocalRead(headers: IncomingHttpHeaders): void {
    if (!showsCredential(headers)) this.checkHost(headers);
    this.checkOrigin(headers);
    if (headers['sec-fetch-site'] === 'cross-site')
      throw new DomainError('origin_not_allowed', 'A page of another site may not read this.');
  }

  private checkHost(headers: IncomingHttpHeaders): void {
    const host = hostNameOf(headers.host ?? '');
    if (host === null || (!isLoopbackHost(host) && !this.hosts.has(host))) {
      throw new DomainError(
        'host_not_allowed',
        'The Host of this request is neither loopback nor listed in ALLOWED_HOSTS.',
      );
    }
  }

  private checkOrigin({ origin }: IncomingHttpHeaders): void {
    if (origin !== undefined && !this.mayDrive(origin.toLowerCase())) {
      throw new DomainError(
        'origin_not_allowed',
        'The Origin of this request is neither loopback nor listed by name in CORS_ALLOWED_ORIGINS.',
      );
    }
  }

  /** A `*` in the list does not count: it is not a name. */
  private mayDrive(origin: string): boolean {
    if (origin !== '*' && this.origins.has(origin)) return true;
    const [, authority] = /^https?:\/\/([^/]+)$/.exec(origin) ?? [];
    const host = authority === undefined ? null : hostNameOf(authority);
    return host !== null && isLoopbackHost(host);
  }
}
