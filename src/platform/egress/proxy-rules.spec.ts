import { describe, expect, it } from '@jest/globals';
import { proxyFor } from './proxy-rules.js';

const HTTP = 'http://proxy.test:3128';
const HTTPS = 'http://secure-proxy.test:3128';
const through = (url: string, ...except: string[]): string | null =>
  proxyFor(new URL(url), { http: HTTP, https: HTTPS, except });

describe('the proxy of a URL', () => {
  it('is that of its scheme', () => {
    expect(through('http://models.test/v1')).toBe(HTTP);
    expect(through('https://models.test/v1')).toBe(HTTPS);
    expect(proxyFor(new URL('https://models.test'), { http: HTTP, https: null, except: [] })).toBeNull();
  });

  it.each([
    'localhost',
    'api.localhost',
    'LOCALHOST.',
    '127.0.0.1',
    '127.9.9.9',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '0.0.0.0',
  ])('is none for %s, which is this machine', (host) => {
    expect(through(`http://${host}:11434/v1`)).toBeNull();
    expect(through(`https://${host}/v1`)).toBeNull();
  });

  it.each([
    ['*', 'https://models.test'],
    ['models.test', 'https://models.test'],
    ['models.test', 'https://eu.models.test'],
    ['.models.test', 'https://eu.models.test'],
    ['*.models.test', 'https://eu.models.test'],
    ['Models.Test', 'https://MODELS.test.'],
    ['models.test:443', 'https://models.test'],
    ['models.test:8080', 'http://models.test:8080'],
    ['10.1.2.3', 'https://10.1.2.3'],
    ['10.1.2.3:8080', 'http://10.1.2.3:8080'],
    ['10.0.0.0/8', 'http://10.1.2.3:8080'],
    ['fd00::/8', 'https://[fd00::17]'],
    ['fd00::17', 'https://[fd00:0::17]'],
    ['[fd00::17]:8080', 'http://[fd00::17]:8080'],
  ])('is none where NO_PROXY says %s, for %s', (entry, url) => {
    expect(through(url, 'other.test', entry)).toBeNull();
  });

  it.each([
    ['models.test', 'https://mymodels.test'],
    ['models.test:80', 'https://models.test'],
    ['eu.models.test', 'https://models.test'],
    ['10.0.0.0/8', 'https://11.1.2.3'],
    ['10.0.0.0/8', 'https://10.models.test'],
    ['fd00::/8', 'https://10.1.2.3'],
    ['.', 'https://models.test'],
    ['http://models.test', 'https://models.test'],
  ])('stays where NO_PROXY says %s, for %s', (entry, url) => {
    expect(through(url, entry)).toBe(HTTPS);
  });
});
