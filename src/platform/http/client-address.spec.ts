import { describe, expect, it } from '@jest/globals';
import type { FastifyRequest } from 'fastify';
import { clientAddress, isLocalCaller, networkOf } from './client-address.js';

const request = (ip: string, remoteAddress = '192.0.2.1', headers = {}): FastifyRequest =>
  ({ ip, headers, socket: { remoteAddress } }) as unknown as FastifyRequest;

describe('client addresses', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:0207', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('%s counts as %s', (address, network) => expect(networkOf(address)).toBe(network));

  it('counts the socket when proxies tell nonsense', () => {
    expect(clientAddress(request('203.0.113.9'))).toBe('203.0.113.9');
    for (const nonsense of ['unknown', '', '_hidden', '1.2.3.4.5', '203.0.113.9:80']) {
      expect(clientAddress(request(nonsense))).toBe('192.0.2.1');
    }
  });

  it('knows callers on this machine', () => {
    for (const ip of ['127.0.0.1', '127.3.4.5', '::1', '::ffff:127.0.0.1'])
      expect(isLocalCaller(request(ip), 0)).toBe(true);
    for (const ip of ['192.0.2.1', '::2', '::', '0.0.0.0']) expect(isLocalCaller(request(ip), 0)).toBe(false);
  });

  it('does not take a proxy on this machine for its callers', () => {
    for (const header of ['x-forwarded-for', 'forwarded']) {
      expect(isLocalCaller(request('127.0.0.1', '127.0.0.1', { [header]: '203.0.113.9' }), 0)).toBe(false);
    }
    expect(isLocalCaller(request('203.0.113.9', '127.0.0.1', { 'x-forwarded-for': '203.0.113.9' }), 1)).toBe(false);
    expect(isLocalCaller(request('127.0.0.1', '127.0.0.1', { 'x-forwarded-for': '127.0.0.1' }), 1)).toBe(true);
  });
});
