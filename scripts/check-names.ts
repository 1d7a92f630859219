// One exported name has one meaning: fails when two files of `src` declare an export of the same name. Re-exports of one
// declaration are fine; a pair that has to be is listed in `ALLOWED` with its reason.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const ALLOWED: ReadonlyMap<string, string> = new Map();
const SAMPLE = join('src', 'demo', 'sample');

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .map((name) => join('src', name))
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts') && !path.startsWith(SAMPLE));

/** The names that `path` declares and exports; a type and a value of one name in one file (`const X`, `type X`) are one. */
function exportedNames(path: string): Set<string> {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
  const names = new Set<string>();
  for (const statement of source.statements) {
    if (ts.isExportDeclaration(statement) && statement.exportClause && ts.isNamedExports(statement.exportClause)) {
      // `export { a as b } from` and `export { a as b }` make a name of their own; `export { a }` repeats a declaration.
      for (const { name, propertyName } of statement.exportClause.elements) if (propertyName) names.add(name.text);
    }
    if (!ts.canHaveModifiers(statement)) continue;
    if (!ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) continue;
    if (ts.isVariableStatement(statement))
      statement.declarationList.declarations.forEach(({ name }) => bind(name, names));
    else if ('name' in statement && statement.name) names.add((statement.name as ts.Identifier).text);
  }
  return names;
}

function bind(name: ts.BindingName, names: Set<string>): void {
  if (ts.isIdentifier(name)) names.add(name.text);
  else for (const element of name.elements) if (ts.isBindingElement(element)) bind(element.name, names);
}

const places = new Map<string, string[]>();
for (const path of files) {
  for (const name of exportedNames(path)) places.set(name, [...(places.get(name) ?? []), path]);
}
const doubles = [...places].filter(([name, paths]) => paths.length > 1 && !ALLOWED.has(name));
for (const [name, paths] of doubles) process.stderr.write(`${name} is exported by ${paths.join(' and ')}\n`);
const stale = [...ALLOWED.keys()].filter((name) => (places.get(name)?.length ?? 0) < 2);
for (const name of stale) process.stderr.write(`${name} is allowed twice but is exported once\n`);
if (doubles.length + stale.length > 0) process.exitCode = 1;
