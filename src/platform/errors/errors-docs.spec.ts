import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { ERRORS } from './catalogue.js';

describe('docs/errors.md', () => {
  it('mirrors the catalogue, line by line', () => {
    const text = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
    const rows = [...text.matchAll(/^\| `(\w+)` +\| (\d{3}) +\| (.+?) +\|$/gm)].map(([, code, status, title]) => [
      code,
      { status: Number(status), title },
    ]);
    expect(rows).toEqual(Object.entries(ERRORS));
  });

  it('is about problems that a client can tell apart', () => {
    const titles = Object.values(ERRORS).map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
    for (const [code, { status, title }] of Object.entries(ERRORS)) {
      expect([code, status]).toEqual([code, expect.any(Number)]);
      expect(title).toMatch(/^[A-Z].*[^.]$/);
      expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    }
  });
});
