import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { joinSql, json, preparedSql, sql, type Sql } from './sql.js';

describe('sql', () => {
  it('numbers values in the order they appear, through nested fragments', () => {
    const condition = sql`status = ${'queued'} and priority > ${3}`;
    expect(sql`select ${1}::int from tasks where ${condition} limit ${10}`.toQuery()).toEqual({
      text: 'select $1::int from tasks where status = $2 and priority > $3 limit $4',
      values: [1, 'queued', 3, 10],
    });
  });

  it('never lets a value become text', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (values) => {
        const query = sql`select ${joinSql(
          values.map((value) => sql`${value}`),
          ', ',
        )}`.toQuery();
        expect(query.values).toEqual(values);
        expect(query.text).toBe(`select ${values.map((_, index) => `$${index + 1}`).join(', ')}`);
      }),
    );
  });

  it('can be used twice in one statement and in several', () => {
    const id: Sql = sql`id = ${7}`;
    const both = sql`select 1 where ${id} or not ${id}`;
    expect(both.toQuery()).toEqual({ text: 'select 1 where id = $1 or not id = $2', values: [7, 7] });
    expect(both.toQuery()).toEqual(both.toQuery());
  });

  it('joins nothing to nothing', () => {
    expect(joinSql([], ' and ').toQuery()).toEqual({ text: '', values: [] });
  });
});

describe('preparedSql', () => {
  const statement = (value: unknown): Sql => preparedSql`select ${value}`;

  it('names a statement by its text', () => {
    const [one, two] = [statement(1).toQuery(), statement(2).toQuery()];
    expect(two).toEqual({ ...one, values: [2] });
    expect(one.name).toMatch(/^nova_\d+$/);
    expect(statement(sql`1`).toQuery()).toMatchObject({ text: 'select 1', values: [] });
    expect(statement(sql`1`).toQuery().name).not.toBe(one.name);
  });
});

describe('json', () => {
  it('sends arrays as JSON, and nothing as null', () => {
    expect(json([1, { a: 'b' }])).toBe('[1,{"a":"b"}]');
    expect(json(null)).toBeNull();
    expect(json(undefined)).toBeNull();
    expect(json(false)).toBe('false');
  });
});
