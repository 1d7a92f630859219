import { describe, expect, it } from '@jest/globals';
import { Type } from 'class-transformer';
import { IsArray, IsInt, IsObject, IsString, Length, Min, ValidateNested } from 'class-validator';
import { DomainError } from '../errors/index.js';
import { MayBeOmitted } from './may-be-omitted.js';
import { PageQueryDto } from './page-query.dto.js';
import { IgnoresReadOnly } from './read-only-fields.js';
import { RequestPipe } from './request.pipe.js';

class Part {
  @IsString() text: string;
}
class Body {
  @IsString() @Length(1, 5) name: string;
  @MayBeOmitted() @IsInt() @Min(1) count?: number;
  @MayBeOmitted() @IsArray() @IsObject({ each: true }) @ValidateNested({ each: true }) @Type(() => Part) parts?: Part[];
  @MayBeOmitted() @IsObject() metadata?: Record<string, unknown>;
}
interface Representation {
  id: string;
  name: string;
  updated_at: string;
}
@IgnoresReadOnly<Representation>('id', 'updated_at')
class Patch {
  @MayBeOmitted() @IsString() name?: string;
}

const pipe = new RequestPipe();
const body = (value: unknown, metatype: new () => object = Body): Promise<unknown> =>
  pipe.transform(value, { type: 'body', metatype });

async function faultsOf(promise: Promise<unknown>): Promise<string[]> {
  const error: unknown = await promise.then(
    () => new Error('it passed'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof DomainError)) throw error;
  expect(error.code).toBe('validation_failed');
  expect(error.detail).toMatch(/\.$/);
  return (error.errors ?? []).map((fault) => fault.pointer);
}

describe('the request pipe', () => {
  it('makes bodies instances of their class', async () => {
    expect(await body({ name: 'a', parts: [{ text: 'x' }] })).toEqual({ name: 'a', parts: [{ text: 'x' }] });
    expect(await body({ name: 'a' })).toBeInstanceOf(Body);
  });

  it.each<[unknown, string[]]>([
    [{}, ['#/name']],
    [undefined, ['#/name']],
    [null, ['#']],
    [{ name: 'a', count: 0 }, ['#/count']],
    [{ name: 'a', count: null }, ['#/count']],
    [{ name: 'a', 'extra/one': 1 }, ['#/extra~1one']],
    [{ name: 'a', hasOwnProperty: 1 }, ['#/hasOwnProperty']],
    [{ name: 'a', toString: 1 }, ['#/toString']],
    [{ name: 'a', parts: [{ text: 1 }, { text: 'x', more: 1 }] }, ['#/parts/0/text', '#/parts/1/more']],
    [{ name: 'a', parts: [[]] }, ['#/parts']],
    [{ name: 'a', parts: ['x'] }, ['#/parts', '#/parts/0']],
    [{ name: 'a', metadata: [] }, ['#/metadata']],
    [[], ['#']],
    ['text', ['#']],
    [7, ['#']],
    [{ name: 'a\u0000' }, ['#/name']],
  ])('refuses %j at %j', async (value, pointers) => {
    expect((await faultsOf(body(value))).sort()).toEqual(pointers.sort());
  });

  it.each<[unknown, string]>([
    [{}, 'name is required.'],
    [{ name: 7 }, 'name must be a string.'],
    [{ name: '' }, 'name must be longer than or equal to 1 characters.'],
    [{ name: 'a', count: '1' }, 'count must be an integer number.'],
    [{ name: 'a', parts: [{}] }, 'text is required.'],
    [{ name: 'a', parts: 'x' }, 'parts must be an array.'],
  ])('says of %j that %s', async (value, sentence) => {
    await expect(body(value)).rejects.toThrow(`The request is not valid: ${sentence}`);
  });

  it('names unknown fields', async () => {
    await expect(body({ name: 'a', colour: 'red' })).rejects.toThrow('The field colour is not known');
  });

  it('drops the read-only fields of what was read, in a PATCH that says so', async () => {
    expect(await body({ id: 1, updated_at: 'then', name: 'b' }, Patch)).toEqual({ name: 'b' });
    expect(await faultsOf(body({ id: 1, colour: 'red' }, Patch))).toEqual(['#/colour']);
  });

  it('reads queries, ignores unknown parameters and names faulty ones', async () => {
    const query = (value: unknown): Promise<unknown> =>
      pipe.transform(value, { type: 'query', metatype: PageQueryDto });
    expect(await query({})).toEqual({ limit: 50, offset: 0 });
    expect(await query({ limit: '200', offset: '7', other: 'x' })).toEqual({ limit: 200, offset: 7 });
    for (const limit of ['0', '201', '1.5', 'x', '', ['1', '2'], '1e400', '-1']) {
      expect(new Set(await faultsOf(query({ limit })))).toEqual(new Set(['#/query/limit']));
    }
    expect(new Set(await faultsOf(query({ offset: '10001' })))).toEqual(new Set(['#/query/offset']));
  });

  it('takes a single parameter once', async () => {
    const metadata = { type: 'query', metatype: String, data: 'after' } as const;
    expect(await pipe.transform('1', metadata)).toBe('1');
    expect(await pipe.transform(undefined, metadata)).toBeUndefined();
    expect(await faultsOf(pipe.transform(['1', '2'], metadata))).toEqual(['#/query/after']);
    expect(await faultsOf(pipe.transform('a\u0000', { type: 'param', metatype: String, data: 'id' }))).toEqual([
      '#/path/id',
    ]);
  });
});
