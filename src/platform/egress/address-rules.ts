import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';

/** The connection was not made, and why. The message is a sentence without secrets and without the address. */
export class EgressRefusedError extends Error {
  override readonly name = 'EgressRefusedError';
}

/** Where clouds tell their machines secrets; refused even where private networks are allowed. */
const METADATA = ['168.63.129.16/32', '100.100.100.200/32', '192.0.0.192/32', 'fd00:ec2::/32', 'fd20:ce::/32'].map(
  (range) => ipaddr.parseCIDR(range),
);
const PUBLIC_IPV6 = ipaddr.parseCIDR('2000::/3');
const PRIVATE_RANGES = ['unicast', 'private', 'loopback', 'uniqueLocal', 'carrierGradeNat'];

/**
 * Why no connection may be made to `address`; null when one may. Public addresses only, and none of this machine's own;
 * with `allowPrivate` also private networks and this machine, but never what is link-local, unspecified or metadata.
 * Addresses that carry others in them (NAT64, 6to4, Teredo) are refused: what they lead to cannot be known.
 */
export function addressFault(address: string, allowPrivate: boolean): string | null {
  if (!ipaddr.isValid(address)) return 'it has no address that can be checked';
  const ip = ipaddr.process(address.replace(/%.*$/, ''));
  if (METADATA.some((range) => ip.kind() === range[0].kind() && ip.match(range as never))) {
    return 'it leads to an address for machine secrets';
  }
  const range = ip.range();
  if (!PRIVATE_RANGES.includes(range)) return 'it leads to an address that nothing may connect to';
  if (allowPrivate) return null;
  const isPublic = range === 'unicast' && (ip.kind() === 'ipv4' || ip.match(PUBLIC_IPV6 as never));
  if (!isPublic || ownAddresses().has(ip.toString())) {
    return 'it leads to a private network, which needs MCP_ALLOW_PRIVATE_NETWORKS';
  }
  return null;
}

/**
 * Why nothing may be fetched from `url` whoever it leads to; null when something may.
 * @throws never; `url` was parsed before, so every way of writing an address is in its normal form.
 */
export function urlFault(url: URL, allowPrivate: boolean): string | null {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return 'only http and https are spoken';
  if (url.username !== '' || url.password !== '') return 'a URL may not hold credentials';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return ipaddr.isValid(host) ? addressFault(host, allowPrivate) : null;
}

export type Resolve = (
  hostname: string,
  options: { all: true; verbatim: boolean },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * A look-up for `net.connect` that resolves a name once and answers only if every one of its addresses may be connected to:
 * what was checked is what is connected to.
 */
export function checkedLookup(allowPrivate: boolean, resolve: Resolve = dnsLookup) {
  return (
    hostname: string,
    options: LookupOptions,
    callback: (error: Error | null, address: string | LookupAddress[], family?: number) => void,
  ): void => {
    resolve(hostname, { all: true, verbatim: true }, (error, addresses) => {
      if (error !== null) return callback(error, '');
      const [first] = addresses;
      if (first === undefined) return callback(new EgressRefusedError('its name has no address'), '');
      for (const { address } of addresses) {
        const fault = addressFault(address, allowPrivate);
        if (fault !== null) return callback(new EgressRefusedError(fault), '');
      }
      if (options.all === true) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}

function ownAddresses(): Set<string> {
  return new Set(
    Object.values(networkInterfaces()).flatMap((addresses) =>
      (addresses ?? []).map(({ address }) => ipaddr.process(address.replace(/%.*$/, '')).toString()),
    ),
  );
}
