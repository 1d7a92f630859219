import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { HealthIndicatorService } from '@nestjs/terminus';
import { AppConfig } from '../../config/index.js';
import { Scrubber } from '../logging/index.js';
import { SecretsIndicator } from './secrets.indicator.js';
import { SecretBox, UnreadableSecret, type StoredSecret } from './secret-box.js';

const newKey = (): string => randomBytes(32).toString('base64');
const [A, B, C] = [newKey(), newKey(), newKey()];
const PLACE = 'table/1/env/TOKEN';

let folder: string;
let warnings: unknown[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nova-secrets-'));
  warnings = [];
  jest.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void warnings.push(message));
  jest.spyOn(Logger.prototype, 'error').mockReturnValue(undefined);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  jest.restoreAllMocks();
});

function setup(env: Record<string, string>): { box: SecretBox; scrubber: Scrubber; report: () => unknown } {
  const config = AppConfig.from({ NOVA_DATA_DIR: folder, ...env });
  const scrubber = Scrubber.of(config);
  const box = new SecretBox(config, scrubber);
  const report = () => new SecretsIndicator(box).check(new HealthIndicatorService().check('secrets'))['secrets'];
  return { box, scrubber, report };
}
/** A box beside a database elsewhere, with these keys. */
const withKeys = (...keys: string[]): SecretBox =>
  setup({ DATABASE_URL: 'postgres://db/nova', SECRETS_KEY: keys.join(',') }).box;
const reasonOf = (box: SecretBox, stored: StoredSecret, place = PLACE): string => {
  const opened = box.open(stored, place);
  expect(opened).toBeInstanceOf(UnreadableSecret);
  // What cannot be read is neither lost nor sealed a second time.
  expect(box.seal(opened, place)).toBe(stored);
  return (opened as UnreadableSecret).reason;
};

describe('a sealed secret', () => {
  it.each(['', 'a', 'tok/en "ü" \u0000', 'x'.repeat(32_768)])('opens again, and shows nothing: %j', (secret) => {
    const box = withKeys(A);
    const stored = box.seal(secret, PLACE);
    expect(stored).toEqual({ key: expect.stringMatching(/^[0-9a-f]{8}$/), sealed: expect.stringMatching(/^[\w-]+$/) });
    expect(box.open(JSON.parse(JSON.stringify(stored)) as StoredSecret, PLACE)).toBe(secret);
    expect(box.seal(secret, PLACE)).not.toEqual(stored);
  });

  it('opens at its own place only', () => {
    const box = withKeys(A);
    const stored = box.seal('secret', PLACE);
    for (const place of ['table/2/env/TOKEN', 'table/1/headers/TOKEN', 'table/1/env/OTHER'])
      expect(reasonOf(box, stored, place)).toBe('what is stored is not what was sealed');
  });

  it('does not open once any of it was changed, and never throws', () => {
    const box = withKeys(A);
    const { key, sealed } = box.seal('secret', PLACE) as Exclude<StoredSecret, string | null>;
    const bytes = Buffer.from(sealed, 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(reasonOf(box, { key, sealed: changed.toString('base64url') })).toMatch(/not what was sealed/);
    }
    for (let length = 0; length < bytes.length; length++)
      expect(reasonOf(box, { key, sealed: bytes.subarray(0, length).toString('base64url') })).toMatch(/not what/);
    for (const stored of [{ key }, { sealed }, {}, [], 1, true, null, { key, sealed: 7 }] as unknown as StoredSecret[])
      expect(reasonOf(box, stored)).not.toBe('');
    expect(withKeys(B, A).isStale(null)).toBe(false);
  });
});

describe('keys', () => {
  it('are rotated: all of them open, the first one seals', () => {
    const old = withKeys(A).seal('secret', PLACE);
    const both = withKeys(B, A);
    expect(both.open(old, PLACE)).toBe('secret');
    expect(both.isStale(old)).toBe(true);
    const fresh = both.seal('secret', PLACE);
    expect(both.isStale(fresh)).toBe(false);
    expect(withKeys(B).open(fresh, PLACE)).toBe('secret');
    expect(reasonOf(withKeys(C), fresh)).toBe('SECRETS_KEY does not hold the key that it was sealed with');
    expect(withKeys(C).isStale(fresh)).toBe(false);
  });

  it.each(['short', `${A},short`, randomBytes(31).toString('base64'), randomBytes(33).toString('hex')])(
    'are 32 bytes in base64: %s is refused',
    (keys) => {
      expect(() => AppConfig.from({ SECRETS_KEY: keys })).toThrow(/^SECRETS_KEY must list keys/);
    },
  );

  it('may be in base64 or base64url', () => {
    const url = Buffer.from(A, 'base64').toString('base64url');
    expect(withKeys(url).open(withKeys(A).seal('secret', PLACE), PLACE)).toBe('secret');
  });

  it('are known to the scrubber', () => {
    const { scrubber } = setup({ SECRETS_KEY: `${A},${B}` });
    expect(scrubber.scrub(`${A} ${B}`)).toBe('[redacted] [redacted]');
  });
});

describe('without a key', () => {
  it('secrets are stored as they are beside a database elsewhere; readiness and one line of the log say so', () => {
    const { box, report } = setup({ DATABASE_URL: 'postgres://db/nova' });
    expect(box.seal('secret', PLACE)).toBe('secret');
    expect(box.open('secret', PLACE)).toBe('secret');
    expect(box.isStale('secret')).toBe(false);
    expect(report()).toEqual({ status: 'degraded', reason: expect.stringContaining('SECRETS_KEY') });
    expect(warnings).toEqual([expect.stringContaining('SECRETS_KEY')]);
    expect(() => statSync(join(folder, 'secrets-key'))).toThrow('ENOENT');
    expect(reasonOf(box, withKeys(A).seal('secret', PLACE))).toMatch(/SECRETS_KEY/);
    expect(withKeys(A).isStale('secret')).toBe(true);
  });

  it('the embedded database has one of its own, made once and for its owner', () => {
    const { box, report, scrubber } = setup({});
    const stored = box.seal('secret', PLACE);
    expect(stored).toMatchObject({ sealed: expect.any(String) });
    expect(report()).toEqual({ status: 'up' });
    expect(statSync(join(folder, 'secrets-key')).mode & 0o777).toBe(0o600);
    expect(setup({}).box.open(stored, PLACE)).toBe('secret');
    expect(scrubber.scrub(readFileSync(join(folder, 'secrets-key'), 'utf8'))).toBe('[redacted]\n');
    // One that is given later seals, and the one of the folder still opens.
    const later = setup({ SECRETS_KEY: A }).box;
    expect(later.open(stored, PLACE)).toBe('secret');
    expect(later.isStale(stored)).toBe(true);
    expect(withKeys(A).open(later.seal('secret', PLACE), PLACE)).toBe('secret');
  });

  it('a file that holds something else is not taken for one', () => {
    writeFileSync(join(folder, 'secrets-key'), 'something else');
    const { box, report } = setup({});
    expect(box.seal('secret', PLACE)).toBe('secret');
    expect(report()).toMatchObject({ status: 'degraded' });
    expect(readFileSync(join(folder, 'secrets-key'), 'utf8')).toBe('something else');
  });
});

it('a key that is given leaves the folder of the embedded database without one', () => {
  setup({ SECRETS_KEY: A });
  expect(() => statSync(join(folder, 'secrets-key'))).toThrow('ENOENT');
});
