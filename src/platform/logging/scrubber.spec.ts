import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AppConfig } from '../../config/index.js';
import { Scrubber } from './scrubber.js';

describe('the scrubber', () => {
  it.each([
    ['an API key', 'key sk-nova-0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijk end', '0123456789abc'],
    ['a bearer token', 'Authorization: Bearer abcdefghijklmnop', 'abcdefghijklmnop'],
    ['basic credentials', 'authorization: basic dXNlcjpwYXNzd29yZA==', 'dXNlcjpwYXNzd29yZA'],
    ['credentials in a URL', 'cannot reach postgres://nova:hunter2@db:5432/nova', 'hunter2'],
    ['a password with a slash in a URL', 'redis://:pa/ss@cache:6379', 'pa/ss'],
    ['a private key', '-----BEGIN RSA PRIVATE KEY-----\nMIIEabc+/=\n-----END RSA PRIVATE KEY-----', 'MIIEabc'],
    [
      'a private key inside JSON',
      '{"k":"-----BEGIN PRIVATE KEY-----\\nMIIEabc\\n-----END PRIVATE KEY-----"}',
      'MIIEabc',
    ],
    ['a provider key', 'used sk-ant-api03-AbCdEfGhIjKlMnOpQr', 'AbCdEfGhIjKl'],
    ['an AWS key id', 'AKIAIOSFODNN7EXAMPLE', 'IOSFODNN7'],
    ['a GitHub token', 'ghp_0123456789abcdefABCDEF', '0123456789abcdef'],
    ['a header in JSON', '{"headers":{"X-Admin-Secret":"short","cookie":"a=b"}}', 'short'],
    ['a password field in JSON', '{"password": "with \\" quote"}', 'with'],
  ])('hides %s', (_what, text, secret) => {
    expect(new Scrubber().scrub(text)).not.toContain(secret);
  });

  it('leaves ordinary text alone', () => {
    for (const text of [
      'GET /api/v1/keys 200',
      'http://localhost:8000/a?b=c',
      'sk-nova-abcd',
      'a bearer of news',
      '12:30@noon',
    ]) {
      expect(new Scrubber().scrub(text)).toBe(text);
    }
  });

  it('hides every secret of the configuration, also as JSON and URLs write it', () => {
    const scrubber = Scrubber.of(
      AppConfig.from({
        ADMIN_SECRET: 'admin"canary\\value-1',
        DATABASE_URL: 'postgres://nova:db%20canary2@db/nova',
        REDIS_URL: 'redis://:rediscanary3@cache/2',
        LLM_BASE_URL: 'http://llm:8080/v1',
        LLM_API_KEY: 'gatewaycanary4',
        OPENAI_API_KEY: 'openaicanary5',
        ANTHROPIC_API_KEY: 'anthropiccanary6',
      }),
    );
    const secrets = [
      'admin"canary\\value-1',
      'db canary2',
      'db%20canary2',
      'rediscanary3',
      'gatewaycanary4',
      'openaicanary5',
      'anthropiccanary6',
    ];
    for (const secret of secrets) {
      const json = JSON.stringify({ secret });
      for (const form of [secret, json, JSON.stringify({ body: json }), encodeURIComponent(secret)]) {
        expect(scrubber.scrub(`before ${form} after`)).not.toMatch(/canary/);
      }
    }
  });

  it('keeps JSON valid', () => {
    const scrubber = new Scrubber();
    scrubber.keep('canary"secret');
    scrubber.keep('nothing-known');
    fc.assert(
      fc.property(
        fc.string(),
        fc.constantFrom(
          'canary"secret',
          '\nothing-known',
          '\\nothing-known',
          'Bearer abcdefghij',
          'postgres://a:b@c',
          '"password":"x"',
          '-----BEGIN PRIVATE KEY-----a\\',
        ),
        (text, secret) => {
          const line = JSON.stringify({ message: `${text}${secret}${text}`, password: secret });
          expect(() => JSON.parse(scrubber.scrub(line)) as unknown).not.toThrow();
        },
      ),
    );
  });

  it('takes time in proportion to hostile text', () => {
    const scrubber = new Scrubber();
    for (const text of [
      'a'.repeat(200_000),
      'a://'.repeat(50_000),
      '-----BEGIN PRIVATE KEY-----'.repeat(5_000),
      'bearer '.repeat(30_000),
      '"password":'.repeat(20_000),
    ]) {
      const started = performance.now();
      scrubber.scrub(text);
      expect(performance.now() - started).toBeLessThan(5_000);
    }
  });

  it('never forgets the secrets of the service, however many servers come and go', () => {
    const scrubber = Scrubber.of(AppConfig.from({ ADMIN_SECRET: 'admin-canary-of-the-service' }));
    scrubber.keep('generated-canary');
    for (let server = 0; server < 3_000; server++) scrubber.remember([`secret of server ${server}`]);
    const clean = scrubber.scrub('admin-canary-of-the-service generated-canary secret of server 2999');
    expect(clean).not.toMatch(/canary|2999/);
  });

  it('hides the longer of two secrets that begin alike', () => {
    const scrubber = new Scrubber();
    for (const secret of ['begins-alike', 'begins-alike-and-goes-on']) scrubber.keep(secret);
    expect(scrubber.scrub('begins-alike-and-goes-on')).toBe('[redacted]');
  });

  it.each(['postgres://nova:ca"na\'ry@host/db', 'postgres:///db?host=/run&user=nova&password=ca"na\'ry'])(
    'hides the password of a connection string as it is written and as it is read: %s',
    (url) => {
      const scrubber = Scrubber.of(AppConfig.from({ DATABASE_URL: url }));
      for (const text of [url, JSON.stringify({ input: url }), 'the password ca"na\'ry is wrong']) {
        expect(scrubber.scrub(text)).not.toMatch(/ca\\?"na|na'ry/);
      }
    },
  );

  it('hides in results what the service itself must not tell, and leaves words and other people’s keys', () => {
    const scrubber = Scrubber.of(
      AppConfig.from({ OPENAI_API_KEY: 'gateway-canary-key', DATABASE_URL: 'postgres://postgres:postgres@db/nova' }),
    );
    scrubber.remember(['the key of a server']);
    const text = 'image: postgres, key: sk-proj-0123456789abcdefghij, {"password":"x"}, the key of a server';
    expect(scrubber.scrubResult(`${text} gateway-canary-key`)).toBe(`${text} [redacted]`);
  });
});
