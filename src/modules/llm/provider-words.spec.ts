import { describe, expect, it } from '@jest/globals';
import { SecretCover } from '../../platform/logging/index.js';
import { shownWords } from './provider-words.js';

describe('words of a provider', () => {
  const key = 'gw-"0a\\b"';
  const cover = new SecretCover([key]);

  it.each([
    ['as it is', key],
    ['in JSON', JSON.stringify({ authorization: key })],
    ['in JSON inside JSON', JSON.stringify(JSON.stringify({ authorization: key }))],
    ['in an address', `http://models.test/?key=${encodeURIComponent(key)}`],
  ])('do not repeat the key %s', (_, told) => {
    const shown = shownWords(`Incorrect API key provided: ${told}`, cover);
    expect(shown).toContain('Incorrect API key provided');
    expect(shown).toContain('[redacted]');
    expect(shown).not.toContain('0a');
  });
});
