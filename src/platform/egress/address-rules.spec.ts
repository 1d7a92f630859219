import { describe, expect, it } from '@jest/globals';
import { addressFault, checkedLookup, urlFault } from './address-rules.js';

const REFUSED = [
  'http://127.0.0.1/',
  'http://127.1/',
  'http://2130706433/',
  'http://0x7f.1/',
  'http://0x7f000001/',
  'http://017700000001/',
  'http://0177.0.0.1/',
  'http://①②⑦.⓪.⓪.①/',
  'http://127.0.0.1./',
  'http://[::1]/',
  'http://[::]/',
  'http://[::127.0.0.1]/',
  'http://[::ffff:127.0.0.1]/',
  'http://[::ffff:7f00:1]/',
  'http://[::ffff:0:127.0.0.1]/',
  'http://[64:ff9b::7f00:1]/',
  'http://[64:ff9b:1::7f00:1]/',
  'http://[2002:7f00:1::]/',
  'http://[2001:0:7f00:1::]/',
  'http://[fe80::1]/',
  'http://[fec0::1]/',
  'http://[fd00:ec2::254]/',
  'http://[fc00::1]/',
  'http://[ff02::1]/',
  'http://[2001:db8::1]/',
  'http://0.0.0.0/',
  'http://0/',
  'http://10.0.0.1/',
  'http://172.16.0.1/',
  'http://192.168.1.1/',
  'http://100.64.0.1/',
  'http://100.100.100.200/',
  'http://169.254.169.254/latest/meta-data/',
  'http://168.63.129.16/',
  'http://192.0.0.192/',
  'http://192.0.2.1/',
  'http://198.18.0.1/',
  'http://224.0.0.1/',
  'http://255.255.255.255/',
  'http://240.0.0.1/',
  'http:\\\\127.0.0.1/',
  'http://127.0.0.\t1/',
  'http://a@127.0.0.1/',
  'http://example.com:80@127.0.0.1/',
  'file:///etc/passwd',
  'gopher://example.com/',
  'unix:/run/docker.sock',
  'ftp://example.com/',
  'data:text/plain,x',
];
/** Also refused when private networks are allowed. */
const NEVER = [
  'http://169.254.169.254/',
  'http://[fe80::1]/',
  'http://[fd00:ec2::254]/',
  'http://100.100.100.200/',
  'http://168.63.129.16/',
  'http://0.0.0.0/',
  'http://[::]/',
  'http://224.0.0.1/',
  'http://[64:ff9b::7f00:1]/',
  'http://a:b@10.0.0.1/',
  'file:///etc/passwd',
];

describe('where a server may be reached', () => {
  it.each(REFUSED)('refuses %s', (text) => {
    expect(urlFault(new URL(text), false)).not.toBeNull();
  });

  it.each(NEVER)('refuses %s with private networks allowed', (text) => {
    expect(urlFault(new URL(text), true)).not.toBeNull();
  });

  it.each([
    'https://1.1.1.1/',
    'http://[2606:4700:4700::1111]:8080/',
    'http://[::ffff:1.1.1.1]/',
    'http://example.com/',
  ])('takes %s', (text) => {
    expect(urlFault(new URL(text), false)).toBeNull();
  });

  it.each(['127.0.0.1', '10.1.2.3', '::1', 'fc00::1', '100.64.0.1', '8.8.8.8'])(
    'takes %s when it is allowed',
    (address) => {
      expect(addressFault(address, true)).toBeNull();
    },
  );

  it('refuses what is no address', () => {
    expect(addressFault('example.com', true)).not.toBeNull();
    expect(addressFault('', false)).not.toBeNull();
  });
});

describe('a checked look-up', () => {
  const answering =
    (...addresses: string[]) =>
    (_name: string, _options: unknown, callback: (error: null, found: { address: string; family: number }[]) => void) =>
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
  const look = (...addresses: string[]): Promise<unknown> =>
    new Promise((resolve, reject) =>
      checkedLookup(false, answering(...addresses))('name.test', { all: true }, (error, found) =>
        error ? reject(error) : resolve(found),
      ),
    );

  it('answers what it has checked', async () => {
    expect(await look('1.1.1.1', '2606:4700:4700::1111')).toEqual([
      { address: '1.1.1.1', family: 4 },
      { address: '2606:4700:4700::1111', family: 6 },
    ]);
  });

  it.each([[['1.1.1.1', '127.0.0.1']], [['::1']], [['::ffff:10.0.0.1']], [[]], [['1.1.1.1', '169.254.169.254']]])(
    'refuses a name of which one address is wrong: %p',
    async (addresses) => {
      await expect(look(...addresses)).rejects.toThrow();
    },
  );

  it('resolves once for a connection', async () => {
    let times = 0;
    const lookup = checkedLookup(false, (_name, _options, callback) => {
      times += 1;
      callback(null, [{ address: times === 1 ? '1.1.1.1' : '127.0.0.1', family: 4 }]);
    });
    const address = await new Promise((resolve) => lookup('rebind.test', {}, (_error, found) => resolve(found)));
    expect([address, times]).toEqual(['1.1.1.1', 1]);
  });
});

it('names the variable only where it would help', () => {
  expect(addressFault('10.0.0.1', false)).toContain('MCP_ALLOW_PRIVATE_NETWORKS');
  expect(addressFault('169.254.169.254', false)).not.toContain('MCP_ALLOW_PRIVATE_NETWORKS');
});
