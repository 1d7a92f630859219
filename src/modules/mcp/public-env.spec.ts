import { describe, expect, it } from '@jest/globals';
import { isPublicVariable } from './public-env.js';

describe('a variable of the environment', () => {
  it.each([
    ['NODE_ENV', 'production'],
    ['NODE_ENV', 'development'],
    ['ALLOWED_DIR', '/srv/documents'],
    ['ALLOWED_DIR', '/home/user/My Documents/notes-2024'],
    ['ROOT', 'C:\\Users\\me\\documents'],
    ['PORT', '8080'],
    ['RATIO', '0.25'],
    ['VERBOSE', 'True'],
    ['LOG_LEVEL', 'warning'],
    ['BASE_URL', 'https://gitlab.example.com/api/v4'],
    ['BASE_URL', 'http://localhost:11434/'],
    ['SITE', 'https://my-company.atlassian.net/wiki/spaces/ENG'],
    ['DATABASE', 'postgres://db.internal:5432/documents'],
  ])('may be read: %s=%s', (name, value) => {
    expect(isPublicVariable(name, value, [])).toBe(true);
  });

  it.each([
    ['API_TOKEN', '/srv/documents'],
    ['DB_PASS', '12345'],
    ['PASSPHRASE', 'production'],
    ['PIN', '12345'],
    ['SLACK_WEBHOOK', 'https://example.com/a'],
    ['OTHER', '123456'],
    ['OTHER', 'correct-horse-battery'],
    ['OTHER', 'a-given-secret'],
    ['OTHER', ''],
    ['OTHER', 'srv/documents'],
    ['OTHER', '/wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY'],
    ['OTHER', 'https://user@example.com/'],
    ['OTHER', 'https://u:p@example.com/'],
    ['OTHER', 'https://example.com/?a=b'],
    ['OTHER', 'https://example.com/#a'],
    ['OTHER', 'https://hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnopqrstuvwx'],
    ['OTHER', 'https://discord.com/api/webhooks/123456789012345678/AbC'],
    ['OTHER', 'https://hooks.zapier.com/hooks/catch/123456/abcdef/'],
    ['OTHER', 'https://api.telegram.org/bot123456789:AAF-abcdefgh_ijklmnop/send'],
    ['OTHER', 'https://example.com/in/3f2504e0-4f89-11d3-9a0c-0305e82c3301'],
    ['OTHER', 'https://eo1a2b3c4d5e6f.m.pipedream.net'],
    ['OTHER', 'https://example.com/ingest/9f86d081884c7d65'],
    ['OTHER', 'data:text/plain,secret'],
  ])('is a secret: %s=%s', (name, value) => {
    expect(isPublicVariable(name, value, [])).toBe(false);
  });

  it('may be read when an admin has listed it, and no other', () => {
    expect(isPublicVariable('API_TOKEN', 'x'.repeat(40), ['API_TOKEN'])).toBe(true);
    expect(isPublicVariable('API_TOKEN', 'x'.repeat(40), ['api_token', 'OTHER'])).toBe(false);
  });
});
