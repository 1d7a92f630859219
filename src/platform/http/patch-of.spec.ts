import { describe, expect, it } from '@jest/globals';
import { IsInt, IsOptional, IsString, Length } from 'class-validator';
import { TextList } from './limits.js';
import { MayBeOmitted } from './may-be-omitted.js';
import { PatchOf } from './patch-of.js';
import { RequestPipe } from './request.pipe.js';

class CreateThingDto {
  @IsString()
  @Length(1, 5)
  name: string;

  @MayBeOmitted()
  @IsInt()
  size?: number = 3;

  @IsOptional()
  @IsString()
  note?: string | null = null;

  @MayBeOmitted()
  @TextList({ maxItems: 2, maxLength: 5 })
  words?: string[] = [];

  toThing(): object {
    return { name: this.name };
  }
}

class UpdateThingDto extends PatchOf(CreateThingDto) {
  @MayBeOmitted()
  @IsInt()
  revision?: number;
}

const patch = (body: object): Promise<unknown> =>
  new RequestPipe().transform(body, { type: 'body', metatype: UpdateThingDto });
const faults = (body: object): Promise<unknown> =>
  patch(body).then(
    () => [],
    (error: { errors?: { pointer: string }[] }) => error.errors?.map(({ pointer }) => pointer),
  );

describe('the body of a PATCH', () => {
  it('holds what was given and none of the defaults of new things', async () => {
    expect({ ...((await patch({})) as object) }).toEqual({});
    expect(Object.keys((await patch({ size: 4 })) as object)).toEqual(['size']);
    expect({ ...((await patch({ words: ['a'], revision: 1 })) as object) }).toEqual({ words: ['a'], revision: 1 });
  });

  it('keeps every rule of new things', async () => {
    expect(await faults({ name: '' })).toEqual(['#/name']);
    expect(await faults({ name: 'too long', size: 1.5, words: ['a', 'b', 'c'] })).toEqual([
      '#/name',
      '#/size',
      '#/words',
    ]);
    expect(await faults({ revision: 'x' })).toEqual(['#/revision']);
    expect(await faults({ other: 1 })).toEqual(['#/other']);
  });

  it('takes null where new things do, and nowhere else', async () => {
    expect({ ...((await patch({ note: null })) as object) }).toEqual({ note: null });
    expect(await faults({ name: null, size: null, words: null, revision: null })).toEqual(
      expect.arrayContaining(['#/name', '#/size', '#/words', '#/revision']),
    );
  });
});
