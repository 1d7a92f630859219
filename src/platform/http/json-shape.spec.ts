import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { DomainError } from '../errors/index.js';
import { parseJsonBody } from './json-body.js';
import { refuseVastJson } from './json-shape.js';

function refusal(read: (body: Buffer) => void, text: string): string | null {
  try {
    read(Buffer.from(text));
    return null;
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return error.code;
  }
}
const shape = (text: string): string | null => refusal(refuseVastJson, text);

function valuesOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return 1 + Object.values(value).reduce((sum: number, inner) => sum + valuesOf(inner), 0);
}

describe('the shape of a body', () => {
  it('may hold 50 000 values and no more', () => {
    const forms: [item: string, values: number][] = [
      ['0', 1],
      ['""', 1],
      ['[ ]', 1],
      ['{}', 1],
      ['{"a,\\"b": "],[\\\\"}', 2],
    ];
    for (const [item, each] of forms) {
      const list = (count: number): string => `[${Array(count).fill(item).join(' ,\n')}]`;
      const most = Math.floor(49_999 / each);
      expect([item, shape(list(most)), shape(list(most + 1))]).toEqual([item, null, 'validation_failed']);
    }
  });

  it('may be 64 levels deep and no deeper', () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
      ['[{"a":', '}]'],
    ] as const) {
      const levels = 64 / (open.length > 5 ? 2 : 1);
      const nested = (depth: number): string => `${open.repeat(depth)}1${close.repeat(depth)}`;
      expect([shape(nested(levels)), shape(nested(levels + 1))]).toEqual([null, 'validation_failed']);
    }
    expect(shape(`[${'[[]],'.repeat(1_000)}0]`)).toBeNull();
  });

  it('is looked at before anything is parsed', () => {
    // No JSON at its end: parsing would say so.
    expect(refusal(parseJsonBody, `${'[0,'.repeat(40)}${'0,'.repeat(60_000)}`)).toBe('validation_failed');
    expect(refusal(parseJsonBody, '['.repeat(4_000_000))).toBe('validation_failed');
  });

  it('is counted as JSON counts, whatever the texts hold', () => {
    const padding = (count: number): string => Array(count).fill('0').join();
    const text = fc.string({ unit: fc.constantFrom('"', '\\', ',', '[', ']', '{', '}', 'a', ' ', 'é') });
    const json = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, text, fc.integer(), fc.constant(null), tie('array'), tie('object')),
      array: fc.array(tie('value'), { maxLength: 4 }),
      object: fc.dictionary(text, tie('value'), { maxKeys: 4 }),
    })).value;
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, 1), (value, indent) => {
        const inner = JSON.stringify(value, null, indent);
        const rest = 50_000 - 1 - valuesOf(value);
        expect(shape(`[${inner},${padding(rest)}]`)).toBeNull();
        expect(shape(`[${inner},${padding(rest + 1)}]`)).toBe('validation_failed');
      }),
      { numRuns: 50 },
    );
  });
});
