import { describe, expect, it } from '@jest/globals';
import { DomainError } from '../../platform/errors/index.js';
import { SecretCover } from '../../platform/logging/index.js';
import { UnreadableSecret } from '../../platform/secrets/index.js';
import { MASK, maskedFields, readable, secretValues, unmasked, type SecretFields } from './secrets.js';

const fields = (given: Partial<SecretFields>): SecretFields => ({
  env: {},
  headers: {},
  args: [],
  url: null,
  ...given,
});
const maskedArgs = (...args: string[]): string[] => maskedFields(fields({ args })).args;
const faultsOf = (given: Partial<SecretFields>, kept: Partial<SecretFields> = {}): string[] => {
  try {
    unmasked(fields(given), fields(kept));
    return [];
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return (error.errors ?? []).map(({ pointer }) => pointer);
  }
};

describe('the mask', () => {
  it('shows names only', () => {
    expect(maskedFields(fields({ env: { A: 'x' }, headers: { B: '' } }))).toEqual(
      fields({ env: { A: MASK }, headers: { B: MASK } }),
    );
  });

  it.each([
    [
      ['--token', 'abc'],
      ['--token', MASK],
    ],
    [
      ['-y', 'server', '--api-key=abc', '--port=80'],
      ['-y', 'server', `--api-key=${MASK}`, '--port=80'],
    ],
    [
      ['-e', 'GITHUB_TOKEN=abc', '-e', 'MODE=x', 'image'],
      ['-e', `GITHUB_TOKEN=${MASK}`, '-e', 'MODE=x', 'image'],
    ],
    [
      ['--header', 'Authorization: Bearer abc'],
      ['--header', `Authorization: ${MASK}`],
    ],
    [
      ['--header', 'X-Mode: fast'],
      ['--header', 'X-Mode: fast'],
    ],
    [['postgres://user:p%40ss@host/db'], [`postgres://${MASK}@host/db`]],
    [['DSN=redis://:pass@host'], [`DSN=redis://${MASK}@host`]],
    [['https://h/mcp?a=1&accessToken=abc#x'], [`https://h/mcp?a=1&accessToken=${MASK}#x`]],
    [['{"apiKey": "a\\"bc", "mode": "x"}'], [`{"apiKey": "${MASK}", "mode": "x"}`]],
    [['sk-abcdefghijklmnopqrstuvwx'], [`sk-${MASK}`]],
    [
      ['run', 'ghp_abcdefghijklmnopqrst'],
      ['run', MASK],
    ],
    [
      ['--author', 'me', '--token', '--verbose', '--secret', ''],
      ['--author', 'me', '--token', '--verbose', '--secret', ''],
    ],
  ])('hides what looks like a secret in arguments: %j', (args, shown) => {
    expect(maskedArgs(...args)).toEqual(shown);
  });

  it.each(['token', 'access_token', 'api-key', 'apikey', 'key', 'client_secret', 'password', 'auth', 'sig', '%74oken'])(
    'hides the parameter %s of a URL and no other',
    (name) => {
      const url = (value: string): string => `https://host/mcp?mode=a&${name}=${value}&page=2`;
      expect(maskedFields(fields({ url: url('va%2Flue') })).url).toBe(url(MASK));
    },
  );

  it('keeps the value it stands for, and nothing else', () => {
    const { env } = unmasked(fields({ env: { A: MASK, B: 'new' } }), fields({ env: { A: 'old', C: 'gone' } }));
    expect(env).toEqual({ A: 'old', B: 'new' });
    expect(faultsOf({ headers: { toString: MASK }, env: { 'a/b': MASK } })).toEqual([
      '#/env/a~1b',
      '#/headers/toString',
    ]);
  });

  it('keeps arguments and addresses that are sent back as they were read', () => {
    const kept = fields({ args: ['--token', 'abc', '--key', 'def', 'KEY=x', 'b'], url: 'https://h/?token=a&b=c' });
    expect(unmasked(fields(maskedFields(kept)), kept)).toEqual(kept);
    const moved = ['first', 'KEY=********', '--token', 'new'];
    expect(unmasked(fields({ args: moved }), kept).args).toEqual(['first', 'KEY=x', '--token', 'new']);
    // Which of the two is meant cannot be told.
    expect(
      faultsOf({ args: ['more', '--token', MASK] }, { ...kept, args: ['--token', 'abc', '--key', 'def'] }),
    ).toEqual(['#/args/2']);
    expect(faultsOf({ args: [`NEW=${MASK}`], url: `https://other/?token=${MASK}` }, kept)).toEqual([
      '#/args/0',
      '#/url',
    ]);
    expect(faultsOf({ url: `https://h/?token=${MASK}` })).toEqual(['#/url']);
  });

  it('is never used for what it hides', () => {
    const secret = new UnreadableSecret({ key: 'k', sealed: 's' }, 'there is no key');
    expect(maskedFields(fields({ env: { A: secret } })).env).toEqual({ A: MASK });
    expect(unmasked(fields({ env: { A: MASK } }), fields({ env: { A: secret } })).env).toEqual({ A: secret });
    expect(() => readable({ A: secret }, 'env')).toThrow(/^env\.A cannot be read: there is no key$/);
    expect(readable({ A: 'a' }, 'env')).toEqual({ A: 'a' });
  });
});

describe('the cover', () => {
  it('takes secrets out of what a server says, in every form', () => {
    const values = secretValues(
      fields({
        env: { A: 'quo"te-secret', B: 'short' },
        headers: { Authorization: 'Bearer tok/en+123' },
        args: ['--token', 'an-argument', 'postgres://u:pass%2Fword@h'],
        url: 'https://h/?key=of-the-url',
      }),
    );
    const cover = new SecretCover(values);
    const said = `quo"te-secret ${JSON.stringify('quo"te-secret')} tok/en+123 ${encodeURIComponent('tok/en+123')} short`;
    expect(cover.hide(said)).toBe('[redacted] "[redacted]" [redacted] [redacted] short');
    expect(cover.hide('an-argument pass/word pass%2Fword of-the-url')).toBe(
      '[redacted] [redacted] [redacted] [redacted]',
    );
  });

  it('covers the longer of two secrets first', () => {
    expect(new SecretCover(['abcdef', 'abcdefghi']).hide('abcdefghi')).toBe('[redacted]');
  });
});
