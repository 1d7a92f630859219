type Camel<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : Name;

/** A column of which more is known than the catalogue says, for example `ColumnAs<GateRow, 'details', Record<string, unknown>>`. */
export type ColumnAs<Row, Column extends keyof Row, Type extends Row[Column]> = Type;

/** A row of a statement that names its columns as code does, for example `task_id as "taskId"`. */
export type CamelRow<Row> = { [Column in keyof Row & string as Camel<Column>]: Row[Column] };
