import { describe, expect, it } from '@jest/globals';
import { BadRequestException, NotFoundException } from '@nestjs/common';
import { DomainError, ERRORS, type ErrorCode } from '../errors/index.js';
import { pathOf, problemHeaders, problemOf, toDomainError } from './problem.js';

describe('problems', () => {
  it('are made for every code of the catalogue', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      expect(problemOf(new DomainError(code, 'A sentence.'), '/x', 'r')).toEqual({
        type: `urn:problem:${code}`,
        title: ERRORS[code].title,
        status: ERRORS[code].status,
        detail: 'A sentence.',
        instance: '/x',
        code,
        request_id: 'r',
      });
    }
  });

  it.each<[unknown, ErrorCode]>([
    [Object.assign(new Error(), { code: 'FST_ERR_CTP_BODY_TOO_LARGE', statusCode: 413 }), 'payload_too_large'],
    [Object.assign(new Error(), { code: 'FST_ERR_CTP_INVALID_MEDIA_TYPE', statusCode: 415 }), 'unsupported_media_type'],
    [Object.assign(new Error(), { code: 'FST_ERR_BAD_URL', statusCode: 400 }), 'not_found'],
    [Object.assign(new Error(), { code: 'FST_ERR_CTP_INVALID_CONTENT_LENGTH', statusCode: 400 }), 'bad_request'],
    [Object.assign(new Error('Forbidden'), { statusCode: 403 }), 'not_found'],
    [new NotFoundException('Cannot GET /x'), 'not_found'],
    [new BadRequestException(), 'bad_request'],
    [Object.assign(new Error('secret'), { statusCode: 418 }), 'bad_request'],
    [new Error('secret'), 'internal'],
    [Object.assign(new Error('secret'), { code: '23505' }), 'internal'],
    ['secret', 'internal'],
    [null, 'internal'],
    [undefined, 'internal'],
  ])('hide what %p says and call it %s', (thrown, code) => {
    const error = toDomainError(thrown);
    expect(error.code).toBe(code);
    expect(error.detail).toMatch(/^[A-Z].*\.$/);
    expect(JSON.stringify(problemOf(error, '/', 'r'))).not.toContain('secret');
  });

  it('carry the headers that their status asks for', () => {
    expect(problemHeaders(new DomainError('rate_limited', '', { retryAfterSeconds: 0.2 }))).toEqual({
      'retry-after': '1',
    });
    expect(problemHeaders(new DomainError('dependency_unavailable', ''))).toEqual({ 'retry-after': '5' });
    expect(problemHeaders(new DomainError('unauthenticated', ''))).toEqual({
      'www-authenticate': 'Bearer realm="nova"',
    });
    expect(problemHeaders(new DomainError('conflict', '', { headers: { location: '/x' } }))).toEqual({
      location: '/x',
    });
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      const needed = [429, 503].includes(ERRORS[code].status);
      expect('retry-after' in problemHeaders(new DomainError(code, ''))).toBe(needed);
    }
  });

  it('show the path without the query', () => {
    expect(pathOf('/a/b?token=x#y')).toBe('/a/b');
    expect(pathOf(`/${'x'.repeat(1_000)}`)).toHaveLength(301);
  });
});
