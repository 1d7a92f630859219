/** A statement with its parameters; what `pg` takes. */
export interface SqlQuery {
  /** Of a prepared statement. */
  readonly name?: string;
  readonly text: string;
  readonly values: unknown[];
}

class Fragment {
  constructor(
    readonly strings: readonly string[],
    readonly values: readonly unknown[],
    private readonly prepared = false,
  ) {}

  /** The statement as `pg` wants it: every value becomes `$n`, nested fragments are spliced in. */
  toQuery(): SqlQuery {
    const values: unknown[] = [];
    const text = render(this, values);
    return this.prepared ? { name: nameOf(text), text, values } : { text, values };
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

const names = new Map<string, string>();

/** Each text has a name of its own, and no two share one. */
function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) names.set(text, (name = `nova_${names.size + 1}`));
  return name;
}

/**
 * Like `sql`, for a statement that is run often: each connection parses and plans it once. Planning the moves of tasks
 * takes several times as long as running them. Its fragments may make a few texts, each of which every connection keeps.
 */
export function preparedSql(strings: TemplateStringsArray, ...values: unknown[]): Sql {
  return new Fragment(strings, values, true);
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
