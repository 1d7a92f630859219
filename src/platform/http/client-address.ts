import { isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { isLoopbackHost } from '../../config/index.js';

/** An IPv6 address as its eight groups, or null when it is not one. */
function groupsOf(address: string): number[] | null {
  if (isIP(address) !== 6) return null;
  const literal = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = literal.split('::');
  const parse = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const before = parse(head);
  const after = parse(tail ?? '');
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}

/** `address` without zone, an IPv4-mapped IPv6 address as the IPv4 one. */
function plainAddress(address: string): string {
  const plain = address.split('%', 1)[0] ?? '';
  const groups = groupsOf(plain);
  if (groups === null || groups.slice(0, 5).some((group) => group !== 0) || groups[5] !== 0xffff) return plain;
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 255])
    .join('.');
}

/** What is counted as one client: an IPv4 address, or the /64 of an IPv6 one, which a single host owns as a whole. */
export function networkOf(address: string): string {
  const plain = plainAddress(address);
  const groups = groupsOf(plain);
  if (groups === null) return plain;
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/**
 * The address of the caller: the socket's, or what `TRUST_PROXY` proxies say of it. Text in X-Forwarded-For that is no
 * address counts as the socket's.
 */
export function clientAddress(request: FastifyRequest): string {
  const told = plainAddress(request.ip);
  return isIP(told) === 0 ? plainAddress(request.socket.remoteAddress ?? '') : told;
}

/** Whether the caller is on this machine. A request that passed a proxy nobody told us about is not. */
export function isLocalCaller(request: FastifyRequest, trustedHops: number): boolean {
  const forwarded = request.headers['x-forwarded-for'] !== undefined || request.headers.forwarded !== undefined;
  return !(forwarded && trustedHops === 0) && isLoopbackHost(clientAddress(request));
}
