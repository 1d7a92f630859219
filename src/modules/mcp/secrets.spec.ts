import { describe, expect, it } from '@jest/globals';
import { SecretCover } from '../../platform/logging/index.js';
import { MASK, masked, secretValues, unmasked } from './secrets.js';

describe('the mask', () => {
  it('shows names only', () => {
    expect(masked({ A: 'x', B: '' })).toEqual({ A: MASK, B: MASK });
  });

  it('keeps the value it stands for, and nothing else', () => {
    expect(unmasked({ A: MASK, B: 'new' }, { A: 'old', C: 'gone' }, 'env')).toEqual({ A: 'old', B: 'new' });
    expect(() => unmasked({ toString: MASK }, {}, 'headers')).toThrow(/none to keep/);
  });
});

describe('the cover', () => {
  it('takes secrets out of what a server says, in every form', () => {
    const values = secretValues({
      env: { A: 'quo"te-secret', B: 'short' },
      headers: { Authorization: 'Bearer tok/en+123' },
    });
    const cover = new SecretCover(values);
    const said = `quo"te-secret ${JSON.stringify('quo"te-secret')} tok/en+123 ${encodeURIComponent('tok/en+123')} short`;
    expect(cover.hide(said)).toBe('[redacted] "[redacted]" [redacted] [redacted] short');
  });

  it('covers the longer of two secrets first', () => {
    expect(new SecretCover(['abcdef', 'abcdefghi']).hide('abcdefghi')).toBe('[redacted]');
  });
});
