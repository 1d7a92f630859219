import { describe, expect, it } from '@jest/globals';
import { catalogueTariff, tariffOf } from './model-prices.js';

const MILLION = { inputTokens: 1_000_000, outputTokens: 1_000_000 };

describe('prices', () => {
  it.each([
    ['gpt-4o', 12.5],
    ['openai/gpt-4o', 12.5],
    ['openrouter/openai/gpt-4o', 12.5],
    ['anthropic/claude-opus-4-1-20250805', 90],
    ['claude-opus-4-1-20250805', 90],
    ['mistral/mistral-large-latest', 8],
  ])('%s stands in the table', (id, usd) => {
    expect(catalogueTariff(id)?.(MILLION)).toBeCloseTo(usd);
  });

  it('a maker the table does not know is looked for with the reseller', () => {
    expect(catalogueTariff('meta-llama/llama-3.3-70b-instruct')?.(MILLION)).toBeGreaterThan(0);
  });

  it('a long call costs what the table says of long calls', () => {
    const tariff = catalogueTariff('google/gemini-2.5-pro');
    expect(tariff?.({ inputTokens: 100_000, outputTokens: 0 })).toBeCloseTo(0.125);
    expect(tariff?.({ inputTokens: 1_000_000, outputTokens: 0 })).toBeCloseTo(2.5);
  });

  it.each([
    'llama3',
    'gpt-99',
    'nobody/nothing',
    'constructor',
    '__proto__/x',
    'openai/constructor',
    'github-models/openai/gpt-4o',
    'openai/',
    '/',
    '',
  ])('%j has no price', (id) => {
    expect(catalogueTariff(id)).toBeNull();
  });

  it('overrides go by the id as addressed, then by the provider’s own', () => {
    const own = { input: 1, output: 1 };
    const addressed = { input: 2, output: 2 };
    const asked = ['openai/gpt-4o', 'gpt-4o', 'openai/gpt-4o'] as const;
    expect(tariffOf(...asked, { 'gpt-4o': own, 'openai/gpt-4o': addressed })?.(MILLION)).toBe(4);
    expect(tariffOf(...asked, { 'gpt-4o': own })?.(MILLION)).toBe(2);
    expect(tariffOf(...asked, { gpt: own })?.(MILLION)).toBeCloseTo(12.5);
    expect(tariffOf('toString', 'toString', 'toString', {})).toBeNull();
    expect(tariffOf('x', 'x', 'x', { x: { input: 0, output: 0 } })?.(MILLION)).toBe(0);
  });
});
