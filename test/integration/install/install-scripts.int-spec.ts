import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from '@jest/globals';
import { temporaryFolder } from '../../support/servers/index.js';

const NPMRC = fileURLToPath(new URL('../../../.npmrc', import.meta.url));
const SCRIPTS = ['preinstall', 'install', 'postinstall'];

/** A project with one packed dependency, each of whose install scripts writes a file of its name. */
function project(folder: string): string {
  const source = join(folder, 'package');
  const root = join(folder, 'project');
  mkdirSync(source, { recursive: true });
  mkdirSync(root);
  const scripts = Object.fromEntries(SCRIPTS.map((name) => [name, `echo ran > ${join(folder, name)}`]));
  writeFileSync(join(source, 'package.json'), JSON.stringify({ name: 'telling', version: '1.0.0', scripts }));
  execFileSync('tar', ['-czf', join(root, 'telling.tgz'), '-C', folder, 'package']);
  writeFileSync(
    join(root, 'package.json'),
    JSON.stringify({ name: 'project', version: '1.0.0', dependencies: { telling: 'file:telling.tgz' } }),
  );
  return root;
}

describe('the installation', () => {
  const folders = [temporaryFolder(), temporaryFolder()];
  afterAll(() => folders.forEach((folder) => folder.remove()));

  it('runs no script of a package, by whichever npm: the settings of this folder say so', () => {
    const ran = folders.map(({ path }, index) => {
      const root = project(path);
      if (index === 1) copyFileSync(NPMRC, join(root, '.npmrc'));
      // The settings of the npm that runs these tests are in its children's environment.
      const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_config_ignore/i.test(name)));
      execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund'], { cwd: root, env, stdio: 'pipe' });
      expect(existsSync(join(root, 'node_modules/telling/package.json'))).toBe(true);
      return SCRIPTS.filter((name) => existsSync(join(path, name)));
    });
    // Without the settings the attack succeeds.
    expect(ran).toEqual([SCRIPTS, []]);
  });
});
