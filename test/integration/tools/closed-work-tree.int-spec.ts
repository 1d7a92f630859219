import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IS_ROOT, ORDINARY_USER } from './ordinary-sandbox.js';
import { scratch } from './sandbox-folder.js';

const DIST = join(import.meta.dirname, '../../../dist');

let folder: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  ({ path: folder, remove } = await scratch());
  await mkdir(join(folder, 'workspace/d'), { recursive: true });
  await writeFile(join(folder, 'workspace/d/a.txt'), 'one');
  await writeFile(join(folder, 'workspace/b.txt'), 'two');
  await chmod(folder, 0o755);
  if (IS_ROOT) execFileSync('chown', ['-R', `${ORDINARY_USER}:${ORDINARY_USER}`, folder]);
});
afterEach(() => {
  // Without root, what was closed can be removed only once it is open again.
  execFileSync('chmod', ['-R', 'u+rwX', folder]);
  return remove();
});

interface Outcome {
  changed: string[] | { code: string; message: string };
  published: object;
  workspace: string[];
}

/** What a service that is no root finds and publishes of a tree in which a task ran `edit`. */
function outcomeOf(edit: string): Outcome {
  const load = (path: string): string => `await import(${JSON.stringify(join(DIST, path))})`;
  const script = `
    await import('reflect-metadata');
    const { chmodSync, mkdirSync, readdirSync, writeFileSync } = await import('node:fs');
    const { AppConfig } = ${load('config/index.js')};
    const { WorkTrees } = ${load('modules/tools/index.js')};
    const workspace = ${JSON.stringify(join(folder, 'workspace'))};
    const settings = { NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: ${JSON.stringify(join(folder, 'data'))} };
    const trees = new WorkTrees(AppConfig.from(settings));
    const tree = await trees.open('0190a000-0000-7000-8000-000000000001', 1);
    process.chdir(tree.root);
    ${edit};
    const told = (error) => ({ code: error.code, message: error.message });
    const changed = await trees.diff(tree).then(({ files }) => files.map(({ path }) => path), told);
    const published = await trees.publish(tree).catch(told);
    const outcome = { changed, published, workspace: readdirSync(workspace, { recursive: true }).sort() };
    process.stdout.write(JSON.stringify(outcome), () => process.exit());`;
  const user = IS_ROOT ? { uid: ORDINARY_USER, gid: ORDINARY_USER } : {};
  const options = {
    ...user,
    cwd: join(DIST, '..'),
    env: { PATH: process.env['PATH'] ?? '' },
    encoding: 'utf8',
  } as const;
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', script], options)) as Outcome;
}

it.each([
  ['a folder that may not be entered', 'chmodSync("d", 0)', 'd'],
  ['a folder whose content may not be looked at', 'chmodSync("d", 0o400)', 'd/a.txt'],
  ['a folder whose names may not be read', 'chmodSync("d", 0o100)', 'd'],
  ['a file that may not be read', 'chmodSync("b.txt", 0)', 'b.txt'],
  ['a new file that may not be read', 'writeFileSync("new.txt", "x", { mode: 0 })', 'new.txt'],
])('%s in a tree is not taken for a deletion', (_, edit, path) => {
  const refused = {
    code: 'workspace_unreadable',
    message: expect.stringContaining(`"${path}" in the work tree may not be read`),
  };
  expect(outcomeOf(edit)).toEqual({ changed: refused, published: refused, workspace: ['b.txt', 'd', 'd/a.txt'] });
});

it('a tree with rights that only keep from writing is published', () => {
  const edit = 'chmodSync("b.txt", 0o400); mkdirSync("e"); writeFileSync("e/c.txt", "x"); chmodSync("e", 0o500)';
  expect(outcomeOf(edit)).toEqual({
    changed: ['e/c.txt'],
    published: { conflicts: [] },
    workspace: ['b.txt', 'd', 'd/a.txt', 'e', 'e/c.txt'],
  });
});
