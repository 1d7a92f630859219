import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { AppConfig } from '../../../src/config/index.js';
import { DataFolderIndicator, WorkspaceIndicator } from '../../../src/platform/health/folder-indicators.js';
import { folderFault } from '../../../src/platform/health/folder-fault.js';
import type { IndicatorState } from '../../../src/platform/health/readiness-indicator.js';
import { temporaryFolder } from '../../support/servers/index.js';

const ROOT = join(fileURLToPath(import.meta.url), '../../../..');
const ORDINARY = process.getuid?.() === 0 ? { uid: 12_345, gid: 12_345 } : {};

let folder: string;
let remove: () => void;
beforeEach(() => {
  const made = temporaryFolder();
  folder = made.path;
  remove = () => made.remove();
  chmodSync(folder, 0o755);
});
afterEach(() => {
  chmodSync(folder, 0o755);
  remove();
});

/** The result of `call`, of a function of `file`, in a process of its own, which runs as a user without root's rights. */
function inProcess(file: string, call: string, before: readonly string[] = []): unknown {
  const script = `
    import * as it from ${JSON.stringify(join(ROOT, 'src/platform/health', file))};
    console.log(JSON.stringify(await it.${call}));`;
  const loader = ['--import', join(ROOT, 'scripts/typescript.mjs')];
  const [program, ...args] = [...before, process.execPath, ...loader, '--input-type=module', '-e', script];
  return JSON.parse(execFileSync(program, args, { ...ORDINARY, cwd: '/', encoding: 'utf8' }));
}
const toldOrdinary = (path: string): unknown =>
  inProcess('folder-fault.ts', `folderFault(${JSON.stringify(path)}, 'NOVA_DATA_DIR')`);

describe('a folder that the service writes', () => {
  it('is told where it is closed, and where the one is that it would be made in', () => {
    const data = join(folder, 'data');
    mkdirSync(data);
    chmodSync(data, 0o555);
    expect(toldOrdinary(data)).toBe(
      `the folder ${data} of NOVA_DATA_DIR cannot be written (EACCES); give the user of the service access, or choose another`,
    );
    const deep = join(data, 'not', 'made');
    expect(toldOrdinary(deep)).toBe(
      `the folder ${deep} of NOVA_DATA_DIR cannot be made, since ${data} cannot be written (EACCES); ` +
        'give the user of the service access, or choose another',
    );
    chmodSync(data, 0o777);
    expect(toldOrdinary(data)).toBeNull();
    expect(toldOrdinary(deep)).toBeNull();
  });

  it('is told where something else has its place', async () => {
    writeFileSync(join(folder, 'file'), '', { mode: 0o644 });
    symlinkSync(join(folder, 'nowhere'), join(folder, 'link'));
    expect(await folderFault(join(folder, 'file'), 'NOVA_WORKSPACE')).toContain('(ENOTDIR)');
    expect(await folderFault(join(folder, 'file', 'below'), 'NOVA_WORKSPACE')).toContain('(ENOTDIR)');
    expect(await folderFault(join(folder, 'link'), 'NOVA_WORKSPACE')).toContain(
      'cannot be written (a link to nothing)',
    );
    expect(await folderFault(join(folder, 'link', 'below'), 'NOVA_WORKSPACE')).toContain('cannot be made');
  });

  it('decides about readiness as the data folder, and is only told as the workspace', async () => {
    const said: unknown[] = [];
    const note =
      (status: string) =>
      (details?: object): HealthIndicatorResult => {
        said.push({ status, ...details });
        return {};
      };
    const state = { up: note('up'), down: note('down'), degraded: note('degraded') } as unknown as IndicatorState;
    const config = AppConfig.from({ NOVA_DATA_DIR: join(folder, 'place'), NOVA_WORKSPACE: join(folder, 'place') });
    const indicators = [new DataFolderIndicator(config), new WorkspaceIndicator(config)];
    for (const indicator of indicators) await indicator.check(state);
    writeFileSync(join(folder, 'place'), '');
    for (const indicator of indicators) await indicator.check(state);
    const told = (variable: string): unknown =>
      expect.stringContaining(`the folder ${join(folder, 'place')} of ${variable} cannot be written`);
    expect(said).toEqual([
      { status: 'up' },
      { status: 'up' },
      { status: 'down', reason: told('NOVA_DATA_DIR') },
      { status: 'degraded', reason: told('NOVA_WORKSPACE') },
    ]);
  });
});

it('the limit of open files is the one that holds for the process', () => {
  const limited = ['/bin/sh', '-c', 'ulimit -n 777 && exec "$@"', 'sh'];
  expect(inProcess('open-files.ts', 'openFilesLimit()', limited)).toBe(777);
  expect(inProcess('open-files.ts', 'openFilesLimit("/no/such/file")')).toBeNull();
});
