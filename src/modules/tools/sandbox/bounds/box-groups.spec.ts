import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { execFileSync } from '../../../../platform/processes/index.js';
import { BoxGroups } from './box-groups.js';

/** A tree of files in the shape of the kernel's. */
let mount: string;
let self: string;
const unit = (): string => join(mount, 'system.slice/nova.service');

beforeEach(() => {
  mount = mkdtempSync(join(tmpdir(), 'nova-cgroup-'));
  self = join(mount, 'self');
  mkdirSync(join(unit(), 'service'), { recursive: true });
  writeFileSync(self, '1:name=systemd:/\n0::/system.slice/nova.service/service\n');
  writeFileSync(join(unit(), 'cgroup.subtree_control'), 'cpu memory pids\n');
  writeFileSync(join(unit(), 'cgroup.procs'), '');
});
afterEach(() => rmSync(mount, { recursive: true, force: true }));

const find = (): BoxGroups | null => BoxGroups.find([join(mount, 'missing'), mount], self);

it('makes a group beside the service, which a command is in from its start', async () => {
  const group = await find()?.make({ memory: 1024, processes: 7 });
  if (!group) throw new Error('no group was made');
  const [name = ''] = readdirSync(unit()).filter((one) => one.startsWith('box-'));
  const read = (file: string): string => readFileSync(join(unit(), name, file), 'utf8').trim();
  expect(['memory.max', 'memory.swap.max', 'memory.oom.group', 'pids.max'].map(read)).toEqual(['1024', '0', '1', '7']);
  const [program, ...args] = group.enter;
  expect(execFileSync(program ?? '', [...args, '/bin/echo', 'it', 'runs'], { encoding: 'utf8' })).toBe('it runs\n');
  expect(read('cgroup.procs')).toBe('0');
  expect(await group.exceeded()).toBe(false);
  writeFileSync(join(unit(), name, 'memory.events'), 'low 0\nhigh 0\nmax 12\noom 1\noom_kill 3\noom_group_kill 1\n');
  expect(await group.exceeded()).toBe(true);
  await group.remove();
  expect(read('cgroup.kill')).toBe('1');
});

it.each([
  ['has not both controllers', () => writeFileSync(join(unit(), 'cgroup.subtree_control'), 'cpu memory\n')],
  ['is not there', () => rmSync(unit(), { recursive: true })],
  ['is of version 1', () => writeFileSync(self, '4:memory:/nova\n')],
  ['is the root', () => writeFileSync(self, '0::/\n')],
])('finds none where the group above %s', (_, change) => {
  change();
  expect(find()).toBeNull();
});
