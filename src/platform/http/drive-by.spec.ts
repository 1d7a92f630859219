import { describe, expect, it } from '@jest/globals';
import { DomainError } from '../errors/index.js';
import { DriveByRules } from './drive-by.js';

const rules = new DriveByRules({
  corsOrigins: ['*', 'https://nova.example', 'http://Tools.example:8080/'],
  allowedHosts: ['nova.internal', 'Box:9000'],
});

function refusal(headers: Record<string, string | undefined>): string | null {
  try {
    rules.check(headers);
    return null;
  } catch (error) {
    return error instanceof DomainError ? error.code : 'another error';
  }
}

describe('the rules against drive-by pages', () => {
  it.each([
    'localhost',
    'localhost:8000',
    '127.0.0.1',
    '127.9.9.9:1',
    '[::1]:8000',
    '[::1]',
    'LOCALHOST.',
    'nova.internal:80',
    'box',
    'BOX:1',
  ])('let the host %s pass', (host) => expect(refusal({ host })).toBeNull());

  it.each([
    undefined,
    '',
    'evil.example',
    'localhost.evil.example',
    'evil.example:8000',
    '127.0.0.1.nip.io',
    '0.0.0.0',
    '10.0.0.1',
    '[::]',
    '[fe80::1]',
    'localhost:8000@evil.example',
    'localhost/evil.example',
    'localhost, evil.example',
    '[::1',
    ':',
    'nova.internal.evil.example',
    '*',
  ])('refuse the host %p', (host) => expect(refusal({ host })).toBe('host_not_allowed'));

  it.each([
    'http://localhost:3000',
    'https://127.0.0.1',
    'http://[::1]:5173',
    'https://nova.example',
    'HTTPS://NOVA.EXAMPLE',
    'http://tools.example:8080',
  ])('let the origin %s pass', (origin) => expect(refusal({ host: 'localhost', origin })).toBeNull());

  it.each([
    '',
    'null',
    '*',
    'https://evil.example',
    'http://nova.example',
    'https://nova.example:444',
    'https://nova.example.evil.example',
    'https://localhost.evil.example',
    'file://',
    'https://evil.example/localhost',
    'http://localhost@evil.example',
    'chrome-extension://abc',
    'http://0.0.0.0',
  ])('refuse the origin %p', (origin) => expect(refusal({ host: 'localhost', origin })).toBe('origin_not_allowed'));
});
