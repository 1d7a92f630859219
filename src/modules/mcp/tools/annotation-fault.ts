const ANNOTATION = 'x-mcp-header';
/** A header's name by RFC 9110. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const HEADER_TYPES: readonly unknown[] = ['string', 'integer', 'boolean'];
/** Keywords whose value maps names to schemas. */
const MAPS = new Set(['properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions']);
/** Keywords whose value is data, whatever it looks like. */
const DATA = new Set(['const', 'enum', 'default', 'examples']);

/** Of a schema within the schema of a tool: its arguments are what `properties` alone lead to. */
type Place = 'root' | 'argument' | 'elsewhere';

/**
 * What is wrong with the `x-mcp-header` annotations of a tool's schema, by which arguments become headers of the call; null
 * when nothing is. The protocol allows them on arguments that are texts, integers or booleans, each with a name of its own.
 * The depth of `schema` was bounded before.
 */
export function annotationFault(schema: Record<string, unknown>): string | null {
  const names = new Set<string>();
  for (const [node, place] of schemasIn(schema, 'root')) {
    if (!(ANNOTATION in node)) continue;
    const name = node[ANNOTATION];
    if (place !== 'argument') return `its ${ANNOTATION} stands where no argument is`;
    if (typeof name !== 'string' || !TOKEN.test(name)) return `its ${ANNOTATION} is not the name of a header`;
    if (!('type' in node) || !HEADER_TYPES.includes(node.type)) {
      return `its ${ANNOTATION} is not on a text, an integer or a boolean`;
    }
    if (names.has(name.toLowerCase())) return `it has the same ${ANNOTATION} twice`;
    names.add(name.toLowerCase());
  }
  return null;
}

function* schemasIn(node: unknown, place: Place): Generator<[object, Place]> {
  if (typeof node !== 'object' || node === null) return;
  if (!Array.isArray(node)) yield [node, place];
  for (const [key, value] of Object.entries(node) as [string, unknown][]) {
    if (DATA.has(key) || typeof value !== 'object' || value === null) continue;
    if (!MAPS.has(key)) yield* schemasIn(value, 'elsewhere');
    else {
      const inside = key === 'properties' && place !== 'elsewhere' ? 'argument' : 'elsewhere';
      for (const child of Object.values(value) as unknown[]) yield* schemasIn(child, inside);
    }
  }
}
