import ipaddr from 'ipaddr.js';

/** Proxies as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name them. */
export interface ProxySettings {
  /** For `http` URLs; null goes direct. */
  readonly http: string | null;
  /** For `https` URLs; null goes direct. */
  readonly https: string | null;
  /** Hosts that are reached directly: names with their subdomains, addresses, CIDR ranges, each with or without a port; `*` is all. */
  readonly except: readonly string[];
}

/** The proxy for `url`; null when it is reached directly, as everything on this machine is. */
export function proxyFor(url: URL, { http, https, except }: ProxySettings): string | null {
  const proxy = url.protocol === 'https:' ? https : http;
  const host = plainHost(url.hostname);
  if (proxy === null || isThisMachine(host)) return null;
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return except.some((entry) => covers(entry, host, port)) ? null : proxy;
}

function isThisMachine(host: string): boolean {
  if (ipaddr.isValid(host)) return ['loopback', 'unspecified'].includes(ipaddr.process(host).range());
  return host === 'localhost' || host.endsWith('.localhost');
}

function covers(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const isAddress = ipaddr.isValid(entry) || ipaddr.isValidCIDR(entry);
  const [, name = entry, onlyPort = port] = (isAddress ? null : /^(.+):(\d+)$/.exec(entry)) ?? [];
  if (onlyPort !== port) return false;
  const named = plainHost(name);
  if (ipaddr.isValid(host)) return coversAddress(named, ipaddr.process(host));
  const domain = named.replace(/^\*?\./, '');
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`));
}

function coversAddress(entry: string, address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (ipaddr.isValid(entry)) return ipaddr.process(entry).toString() === address.toString();
  if (!ipaddr.isValidCIDR(entry)) return false;
  const range = ipaddr.parseCIDR(entry);
  return range[0].kind() === address.kind() && address.match(range as never);
}

/** Lower case, without the brackets of an IPv6 address and the dot at the end of a full name. */
function plainHost(host: string): string {
  return host.replace(/^\[|\]$|\.$/g, '').toLowerCase();
}
