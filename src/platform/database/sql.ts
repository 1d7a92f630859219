/** A statement with its parameters; what `pg` takes. */
export interface SqlQuery {
  readonly text: string;
  readonly values: unknown[];
}

class Fragment {
  constructor(
    readonly strings: readonly string[],
    readonly values: readonly unknown[],
  ) {}

  /** The statement as `pg` wants it: every value becomes `$n`, nested fragments are spliced in. */
  toQuery(): SqlQuery {
    const values: unknown[] = [];
    return { text: render(this, values), values };
  }
}

function render(fragment: Fragment, values: unknown[]): string {
  return fragment.strings.reduce((text, part, index) => {
    if (index === 0) return part;
    const value = fragment.values[index - 1];
    return text + (value instanceof Fragment ? render(value, values) : `$${values.push(value)}`) + part;
  }, '');
}

export type Sql = Fragment;

/**
 * Writes a statement: `` sql`select id from tasks where id = ${id}` ``. Every interpolated value is sent as a parameter;
 * only another `sql` fragment becomes text. Objects bound to jsonb parameters go through `json()`.
 */
export function sql(strings: TemplateStringsArray, ...values: unknown[]): Sql {
  return new Fragment(strings, values);
}

/** Joins fragments with a literal separator written in code, for example `` joinSql(filters, ' and ') ``. */
export function joinSql(parts: readonly Sql[], separator: ' and ' | ', ' | ' or '): Sql {
  const [first, ...rest] = parts;
  if (first === undefined) return sql``;
  return rest.reduce((all, part) => new Fragment(['', separator, ''], [all, part]), first);
}

/** A jsonb parameter. `pg` would send an array as a PostgreSQL array, so every jsonb value goes through here. */
export function json(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}
