import { describe, expect, it } from '@jest/globals';
import { catalogueOutputLimit, cataloguePrice, costOf, priceOf } from './model-prices.js';

describe('prices', () => {
  it.each([
    ['gpt-4o', { input: 2.5, output: 10 }],
    ['openai/gpt-4o', { input: 2.5, output: 10 }],
    ['anthropic/claude-opus-4-1-20250805', { input: 15, output: 75 }],
    ['claude-opus-4-1-20250805', { input: 15, output: 75 }],
  ])('%s stands in the table', (id, price) => {
    expect(cataloguePrice(id)).toEqual(price);
  });

  it.each([
    'llama3',
    'nobody/nothing',
    'constructor',
    '__proto__/x',
    'openai/constructor',
    'github-models/openai/gpt-4o',
    '',
  ])('%j has no price', (id) => {
    expect(cataloguePrice(id)).toBeNull();
  });

  it('overrides go by the id as addressed, then by the provider’s own', () => {
    const own = { input: 1, output: 1 };
    const addressed = { input: 2, output: 2 };
    expect(priceOf('openai/gpt-4o', 'gpt-4o', 'openai/gpt-4o', { 'gpt-4o': own, 'openai/gpt-4o': addressed })).toEqual(
      addressed,
    );
    expect(priceOf('openai/gpt-4o', 'gpt-4o', 'openai/gpt-4o', { 'gpt-4o': own })).toEqual(own);
    expect(priceOf('openai/gpt-4o', 'gpt-4o', 'openai/gpt-4o', { gpt: own })).toEqual({ input: 2.5, output: 10 });
    expect(priceOf('toString', 'toString', 'toString', {})).toBeNull();
    expect(priceOf('x', 'x', 'x', { x: { input: 0, output: 0 } })).toEqual({ input: 0, output: 0 });
  });

  it('a cost is tokens times price', () => {
    expect(costOf({ inputTokens: 1_000_000, outputTokens: 500_000 }, { input: 2, output: 10 })).toBe(7);
  });

  it('the table knows how long an answer can be', () => {
    expect([catalogueOutputLimit('gpt-4o'), catalogueOutputLimit('nothing')]).toEqual([16_384, null]);
  });
});
