/**
 * The values of a column that takes some texts only, in an order of the caller's: `everyValue<PodRow['network']>()('off', 'on')`.
 * A list that lacks a value of the column, or has another one, does not compile.
 */
export function everyValue<Value extends string>() {
  return <const List extends readonly Value[]>(
    ...list: List & ([Value] extends [List[number]] ? unknown : { lacks: Exclude<Value, List[number]> })
  ): List => list;
}
