/** @needs bwrap */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, expect, it } from '@jest/globals';
import { temporaryFolder } from '../../support/servers/index.js';

const folder = temporaryFolder();
afterAll(() => folder.remove());
const module = pathToFileURL(join(import.meta.dirname, '../../../dist/platform/folders/index.js')).href;

/** Runs `script`, which has the functions and `at`, where `at` is a read-only file system of a mount namespace of its own. */
async function onReadOnlyDisk(script: string): Promise<unknown> {
  const at = join(folder.path, 'disk');
  mkdirSync(at, { recursive: true });
  const program = `
    import { mkdirSync } from 'node:fs';
    import { makeFolder, makeFolderSync } from ${JSON.stringify(module)};
    const at = ${JSON.stringify(at)};
    const told = async (work) => { try { await work(); return 'made'; } catch (error) { return error.code; } };
    console.log(JSON.stringify(await (async () => { ${script} })()));`;
  const mount =
    'mount -t tmpfs -o mode=777 disk "$1" && mkdir "$1/there" && mount -o remount,ro "$1" && exec "$2" --input-type=module -e "$3"';
  const args = ['-Urm', 'sh', '-c', mount, 'sh', at, process.execPath, program];
  const { stdout } = await promisify(execFile)('unshare', args);
  return JSON.parse(stdout);
}

it('tells the reason of a read-only file system, at each depth; a folder that is there is no fault', async () => {
  const answers = await onReadOnlyDisk(`
    const paths = ['a', 'there/a', 'a/b/c', 'there'].map((path) => at + '/' + path);
    return [
      await Promise.all(paths.map((path) => told(() => makeFolder(path, 0o700)))),
      await Promise.all(paths.map((path) => told(() => makeFolderSync(path)))),
      // Node's own, which this is for.
      await told(() => mkdirSync(paths[0], { recursive: true })),
    ];`);
  const expected = ['EROFS', 'EROFS', 'EROFS', 'made'];
  expect(answers).toEqual([expected, expected, 'ENOENT']);
  expect(readdirSync(join(folder.path, 'disk'))).toEqual([]);
});
