import { describe, expect, it } from '@jest/globals';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const SRC = fileURLToPath(new URL('../../', import.meta.url));
/** A table after the word that names it in a statement; `with` queries and functions have other names than tables. */
const NAMED = /\b(?:from|join|update|into|truncate)\s+(?:only\s+)?([a-z_]+)/g;

/** Tables by the modules or parts of the platform whose statements name them. */
async function namedBy(files: Iterable<[path: string, text: string]>): Promise<Map<string, Set<string>>> {
  const rows = await readFile(join(SRC, 'platform/database/rows.generated.ts'), 'utf8');
  const owners = new Map([...rows.matchAll(/A row of `(\w+)`/g)].map(([, table = '']) => [table, new Set<string>()]));
  for (const [path, text] of files) {
    const owner = path.split('/').slice(0, 2).join('/');
    for (const [, table = ''] of text.matchAll(NAMED)) owners.get(table)?.add(owner);
  }
  return owners;
}

async function repositories(): Promise<[string, string][]> {
  const entries = await readdir(SRC, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.repository.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    paths.map(async (path) => [relative(SRC, path), await readFile(path, 'utf8')] as [string, string]),
  );
}

describe('the statements on a table', () => {
  it('stand in one module, and every table has one', async () => {
    const owners = await namedBy(await repositories());
    expect(owners.size).toBeGreaterThan(15);
    expect([...owners].filter(([, modules]) => modules.size !== 1).map(([table, by]) => [table, [...by]])).toEqual([]);
  });

  it('on turns stand in one file', async () => {
    const files = await repositories();
    const named = files.filter(([, text]) => [...text.matchAll(NAMED)].some(([, table]) => table === 'turns'));
    expect(named.map(([path]) => path)).toEqual(['modules/tasks/turns.repository.ts']);
  });

  it('select rows of the generated types', async () => {
    const written = (await repositories()).filter(([, text]) => /\binterface \w*Row\b/.test(text));
    expect(written.map(([path]) => path)).toEqual([]);
  });

  it('are found wherever a statement names it', async () => {
    const forms = [
      'select 1 from pods p',
      'x join pods p',
      'update pods set',
      'insert into pods (',
      'delete from\n pods',
    ];
    for (const form of forms) {
      const owners = await namedBy([['modules/agents/a.repository.ts', form]]);
      expect([...(owners.get('pods') ?? [])]).toEqual(['modules/agents']);
    }
  });
});
