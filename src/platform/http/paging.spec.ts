import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { FastifyReply } from 'fastify';
import { DomainError } from '../errors/index.js';
import { decodeCursor, encodeCursor, pageOf } from '../paging/index.js';
import { cutForList, linkNext, pageRequest } from './paging.js';

const cursor = { at: '2026-11-22 14:02:41.123456+00', id: '01a20391-2fcb-728b-a91c-c954d58f3a68' };

describe('paging', () => {
  it('takes its own cursors and nothing else', () => {
    expect(decodeCursor(encodeCursor(cursor))).toEqual(cursor);
    for (const at of ['2026-11-22T14:02:41Z', '2026-11-22 14:02:41+05:30', '0001-01-01 00:00:00+00']) {
      expect(decodeCursor(encodeCursor({ ...cursor, at })).at).toBe(at);
    }
    const bad = [
      'x',
      '',
      encodeCursor({ at: 'now', id: cursor.id }),
      encodeCursor({ at: cursor.at, id: 'x' }),
      encodeCursor({ at: '2026-13-45 99:99:99+00', id: cursor.id }),
      encodeCursor({ at: '2026-02-30 00:00:00+00', id: cursor.id }),
      encodeCursor({ at: '0000-01-01 00:00:00+00', id: cursor.id }),
      encodeCursor({ at: '2026-01-01 00:00:00+23', id: cursor.id }),
      encodeCursor({ at: "2026-11-22 14:02:41+00'; drop table", id: cursor.id }),
      Buffer.from('{}').toString('base64url'),
      Buffer.from('[1,2]').toString('base64url'),
      Buffer.from('null').toString('base64url'),
    ];
    for (const text of bad) expect(() => decodeCursor(text)).toThrow(DomainError);
    fc.assert(fc.property(fc.string(), (text) => expect(() => decodeCursor(text)).toThrow(DomainError)));
  });

  it('lets a cursor replace the offset', () => {
    expect(pageRequest({})).toEqual({ limit: 50, offset: 0, after: null });
    expect(pageRequest({ limit: 3, offset: 9 })).toEqual({ limit: 3, offset: 9, after: null });
    expect(pageRequest({ limit: 3, offset: 9, cursor: encodeCursor(cursor) })).toEqual({
      limit: 3,
      offset: 0,
      after: cursor,
    });
  });

  it('goes on exactly when another row follows', () => {
    const cursorOf = (id: number): { at: string; id: string } => ({ at: '', id: String(id) });
    expect(pageOf([1, 2, 3], 2, cursorOf, (row) => row * 10)).toEqual({ items: [10, 20], next: { at: '', id: '2' } });
    expect(pageOf([1, 2], 2, cursorOf, (row) => row)).toEqual({ items: [1, 2], next: null });
    expect(pageOf([], 2, cursorOf, (row) => row)).toEqual({ items: [], next: null });
  });

  it('links to the next page with the other parameters kept', () => {
    const headers: Record<string, string> = {};
    const reply = {
      request: { url: '/api/v1/keys?limit=2&offset=4&a=%20b' },
      header: (name: string, value: string) => (headers[name] = value),
    };
    linkNext(reply as unknown as FastifyReply, null);
    expect(headers).toEqual({});
    linkNext(reply as unknown as FastifyReply, cursor);
    expect(headers['link']).toBe(`</api/v1/keys?limit=2&a=+b&cursor=${encodeCursor(cursor)}>; rel="next"`);
  });

  it('cuts long texts and names them', () => {
    const long = `${'x'.repeat(1_999)}😀`;
    const cut = cutForList({ a: long, b: 'short', c: 7, d: null as string | null }, ['a', 'b', 'd']);
    expect(cut).toEqual({ a: 'x'.repeat(1_999), b: 'short', c: 7, d: null, truncated: ['a'] });
    expect(cutForList({ a: 'x'.repeat(2_000) }, ['a'])).toEqual({ a: 'x'.repeat(2_000), truncated: [] });
  });
});
