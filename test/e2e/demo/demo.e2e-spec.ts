import { execFile } from 'node:child_process';
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { temporaryFolder, type TemporaryFolder } from '../../support/servers/index.js';

const ROOT = join(fileURLToPath(import.meta.url), '../../../..');
const SAMPLE = join(ROOT, 'src/demo/sample');

let folder: TemporaryFolder;
beforeAll(() => {
  folder = temporaryFolder();
});
afterAll(() => folder.remove());

/** Runs the demo as `npm run demo` does, on a sample of the test's own. */
function demo(
  sample: string,
  options: string[] = [],
  shell: NodeJS.ProcessEnv = {},
): Promise<{ code: number; output: string }> {
  const { PATH, HOME } = process.env;
  return new Promise((resolve) => {
    const args = ['--enable-source-maps', join(ROOT, 'dist/demo/main.js'), '--sample', sample, ...options];
    execFile(process.execPath, args, { env: { ...shell, PATH, HOME }, cwd: folder.path }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}

async function changed(name: string, file: string, change: (text: string) => string): Promise<string> {
  const sample = join(folder.path, name);
  await cp(SAMPLE, sample, { recursive: true });
  const path = join(sample, file);
  const before = await readFile(path, 'utf8');
  const after = change(before);
  expect(after).not.toBe(before);
  await writeFile(path, after);
  return sample;
}

describe('npm run demo', () => {
  it('tells the whole story and exits 0', async () => {
    // Settings of somebody's service, in the shell and beside it.
    await writeFile(join(folder.path, '.env'), 'REDIS_URL=redis://127.0.0.1:9\nREQUIRE_AUTH=true\n');
    const { code, output } = await demo(SAMPLE, ['--keep'], {
      DATABASE_URL: 'postgres://nobody@127.0.0.1:9/theirs',
      ANON_RATE_LIMIT_RPM: '1',
      SHELL_SANDBOX: 'isolated',
      ROLES: 'worker',
      TASK_STALE_SECONDS: 'not a number',
      NODE_ENV: 'production',
    });
    const isConfined = !output.includes('Commands cannot be confined here');
    expect(output).toContain(
      `The story is whole${isConfined ? '.' : ', but for the tests that the task stage could not run.'}`,
    );
    expect(output).toContain('scripted');
    expect(output).toMatch(/tests before: \d+ pass, [1-9]\d* fail/);
    expect(output).toMatch(/tests after: \d+ pass, 0 fail/);
    const token = /token: (\S+)/.exec(await readFile(join(SAMPLE, 'config/provider.txt'), 'utf8'))?.[1] ?? '';
    expect(token).not.toBe('');
    expect(output).not.toContain(token);
    expect(code).toBe(0);
    // All that it makes is below one folder, its database too, so that nothing stays where that is removed.
    const kept = /kept in (\S+)\./.exec(output)?.[1] ?? '';
    expect(await readdir(join(kept, 'data'))).toContain('postgres-16');
    await rm(kept, { recursive: true });
  });

  it('exits 1 when the bug is taken out of the sample', async () => {
    const sample = await changed('no-bug', 'src/price.js', (text) =>
      text
        .replace('price - price * percent', 'Math.round(price - (price * percent) / 100)')
        .replace('amount - amount * off', 'Math.round(amount - (amount * off) / 100)'),
    );
    expect(await demo(sample)).toMatchObject({ code: 1, output: expect.stringContaining('tests were red before') });
  });

  it('exits 1 when the leaked key is taken out of the sample', async () => {
    const sample = await changed('no-key', 'config/provider.txt', (text) =>
      text.replace(/token: \S+/, 'token: ask the owner'),
    );
    expect(await demo(sample)).toMatchObject({ code: 1, output: expect.stringContaining('blocked a leaked key') });
  });
});
