/** @needs bwrap */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppConfig } from '../../../src/config/index.js';
import { BoxGroups } from '../../../src/modules/tools/sandbox/bounds/box-groups.js';
import { Sandbox, type Box, type BoxResult } from '../../../src/modules/tools/sandbox/sandbox.js';
import { IS_ROOT, ORDINARY_USER, OrdinarySandbox } from './ordinary-sandbox.js';
import { scratch } from './sandbox-folder.js';
import { eventually } from '../../support/eventually.js';

const MIB = 1024 * 1024;
/** What one command may take here, and what every hoard below takes more than. */
const LIMITS = { memory: 48 * MIB, processes: 32, sockets: 32 };

let folder: string;
let remove: () => Promise<void>;
const sandboxes: Record<string, Sandbox> = {};

beforeAll(async () => {
  ({ path: folder, remove } = await scratch());
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'data'), { mode: 0o711 });
  const config = AppConfig.from({
    NOVA_WORKSPACE: join(folder, 'workspace'),
    NOVA_DATA_DIR: join(folder, 'data'),
    // A folder takes 4 KiB: the 3,000 of a hoard of names stay below this.
    TREE_MAX_MIB: '16',
    TREE_MAX_FILES: '200',
    DISK_MIN_FREE: '4MiB',
  });
  sandboxes['this user'] = new Sandbox(config);
  sandboxes['an ordinary user'] = IS_ROOT ? new OrdinarySandbox(config) : sandboxes['this user'];
});
afterAll(() => remove());

function run(
  user: string,
  script: string,
  limits: Box['limits'],
  root = freshRoot(user),
  signal = new AbortController().signal,
): Promise<BoxResult> {
  const sandbox = sandboxes[user];
  if (sandbox === undefined) throw new Error(user);
  return sandbox.run(
    { tier: 'workspace', network: false, root, command: ['/bin/bash', '-c', script], ...(limits && { limits }) },
    { owner: 'test', timeoutMs: 60_000, signal },
  );
}

/** Whom roots belong to, where tests are root: nobody whom another suite's boxes have, since the kernel counts processes by user. */
const OWNERS: Record<string, number> = { 'this user': ORDINARY_USER + 1, 'an ordinary user': ORDINARY_USER };

let roots = 0;
/** A folder that nobody has worked in, below `parent`. */
function freshRoot(user: string, parent = folder): string {
  const root = join(parent, `root-${(roots += 1)}`);
  mkdirSync(root, { recursive: true });
  const owner = OWNERS[user] ?? ORDINARY_USER;
  if (IS_ROOT) chownSync(root, owner, owner);
  return root;
}

/** Fills 80 MiB of shared memory, doing `then` with each MiB. */
const shares = (then: string): string =>
  `perl -e '$p = syscall(9, 0, 80 << 20, 3, 0x21, -1, 0); open(Z, "<", "/dev/zero");
    for ($o = 0; $o < 80 << 20; $o += 1 << 20) { syscall(0, fileno(Z), $p + $o, 1 << 20) > 0 or die; ${then} } sleep HOLD'`;

/** Ways to more than a box may have; each then waits for HOLD seconds. */
const HOARDS: { name: string; stopped: string; script: string }[] = [
  {
    name: 'the private memory of several processes',
    stopped: 'memory',
    script: `for n in 1 2 3 4; do perl -e '$x = "a" x (20 << 20); sleep HOLD' & done; wait`,
  },
  { name: 'shared memory', stopped: 'memory', script: shares('') },
  {
    name: 'shared memory that no process has in its tables',
    stopped: 'memory',
    script: shares('syscall(28, $p + $o, 1 << 20, 4) == 0 or die;'),
  },
  {
    name: 'files in memory',
    stopped: 'memory',
    script: 'head -c 40M /dev/zero > /tmp/a && head -c 40M /dev/zero > /dev/shm/b && sleep HOLD',
  },
  {
    name: 'files in memory whose names are gone',
    stopped: 'memory',
    script: 'exec 7> /tmp/a && rm /tmp/a && head -c 80M /dev/zero >&7 && sleep HOLD',
  },
  {
    name: 'empty files in memory',
    stopped: 'memory',
    script: `perl -e 'for (1 .. 80_000) { open(F, ">", "/tmp/$_") or die } sleep HOLD'`,
  },
  {
    name: 'page tables',
    stopped: 'memory',
    script: `perl -e '$p = syscall(9, 0, 1 << 36, 1, 0x4022, -1, 0); open(F, ">", "/tmp/x");
      for ($o = 0; $o < 1 << 35; $o += 1 << 21) { syscall(1, fileno(F), $p + $o, 1) == 1 or die } sleep HOLD'`,
  },
  {
    name: 'processes',
    stopped: 'processes',
    script: `perl -e 'for (1 .. 60) { $p = fork; exit 3 if !defined $p; if (!$p) { sleep HOLD; exit } } sleep HOLD'`,
  },
  {
    name: 'sockets',
    stopped: 'sockets',
    script: `perl -e 'for (1 .. 60) { socket($s[$_], 1, 1, 0) or die } sleep HOLD'`,
  },
];

describe.each(['this user', 'an ordinary user'])('a box of a service that is %s', (user) => {
  it.each(HOARDS)('is ended when it takes too much: $name', async ({ script, stopped }) => {
    const result = await run(user, script.replaceAll('HOLD', '50'), LIMITS);
    // In a user namespace of its own the kernel itself refuses more processes.
    if (stopped === 'processes' && result.exitCode === 3) return;
    expect(result).toMatchObject({ stopped });
  });

  it('counts once what forked processes share, and memory that they gave back not at all', async () => {
    const script = `perl -e '$n = 8 << 20; $x = "a" x $n; for (1 .. 6) { fork or do { sleep 1; exit } } sleep 1; undef $x; $y = "b" x $n; sleep 1'`;
    expect(await run(user, script, LIMITS)).toMatchObject({ exitCode: 0, stopped: null });
  });

  it('leaves another its processes when it forks without end', async () => {
    const over = new AbortController();
    const script = 'bomb() { bomb | bomb & }; bomb; sleep 50';
    const bomb = run(user, script, { processes: 100 }, freshRoot(user), over.signal).catch(() => null);
    const beside = await run(user, `for n in $(seq 40); do perl -e 'exit(defined(fork) ? 0 : 3)' || exit 3; done`, {});
    over.abort(new Error('over'));
    await bomb;
    expect(beside).toMatchObject({ exitCode: 0, stopped: null });
  });

  it.each([
    ['bytes', 'tree_bytes', 'for n in $(seq 60); do head -c 1M /dev/urandom > f$n; done; sleep 50'],
    [
      'bytes out of sight',
      'tree_bytes',
      'mkdir -p a/b; cd a/b; for n in $(seq 60); do head -c 1M /dev/urandom > .f$n; done; sleep 50',
    ],
    ['bytes that are reserved', 'tree_bytes', 'for n in $(seq 60); do fallocate -l 1M f$n; done; sleep 50'],
    ['files', 'tree_entries', `perl -e 'for (1 .. 3000) { open(F, ">", "f$_") or die } sleep 50'`],
    ['folders', 'tree_entries', `perl -e 'for (1 .. 3000) { mkdir "f$_" or die } sleep 50'`],
    ['links', 'tree_entries', `perl -e 'for (1 .. 3000) { symlink "x", "f$_" or die } sleep 50'`],
  ])('is ended when its folder grows too much, a task’s and another: by %s', async (_, stopped, script) => {
    expect(await run(user, script, {}, freshRoot(user, join(folder, 'data/trees')))).toMatchObject({ stopped });
    expect(await run(user, script, {})).toMatchObject({ stopped });
  });

  it('is ended when it grows where nobody may look', async () => {
    const script = 'mkdir d; for n in $(seq 60); do head -c 1M /dev/urandom > d/f$n; done; chmod 0 d; sleep 50';
    expect((await run(user, script, {})).stopped).toMatch(/^tree_(bytes|unreadable)$/);
  });

  it('is not ended for what was there before, nor for what it removes', async () => {
    const root = freshRoot(user);
    const fill = 'for n in 1 2 3 4 5 6; do head -c 2M /dev/urandom > f$n; done; sync; sleep 0.3';
    expect(await run(user, fill, {}, root)).toMatchObject({ exitCode: 0, stopped: null });
    const replace =
      'for m in 1 2 3 4; do rm -f g*; for n in 1 2 3; do head -c 2M /dev/urandom > g$n; done; done; sleep 0.3';
    expect(await run(user, replace, {}, root)).toMatchObject({ exitCode: 0, stopped: null });
  });

  (IS_ROOT ? it : it.skip)('is ended when it fills a disk, and runs again when there is room', async () => {
    const disk = join(folder, `disk-${user.replaceAll(' ', '-')}`);
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=10m', 'tmpfs', disk]);
    try {
      const root = freshRoot(user, disk);
      expect(await run(user, 'head -c 7M /dev/zero > big; sleep 50', {}, root)).toMatchObject({ stopped: 'storage' });
      // One since which the disk has not grown is not what fills it.
      expect(await run(user, 'sleep 2', {}, root)).toMatchObject({ exitCode: 0, stopped: null });
      rmSync(join(root, 'big'));
      expect(await run(user, 'echo fine > small', {}, root)).toMatchObject({ exitCode: 0, stopped: null });
    } finally {
      execFileSync('umount', ['-l', disk]);
    }
  });
});

it.each(HOARDS)('these are no hoards that fail by themselves: $name', async ({ script }) => {
  expect(await run('this user', script.replaceAll('HOLD', '0'), {})).toMatchObject({ exitCode: 0, stopped: null });
});

it('is in a control group of its own where there are such, and says when the kernel ended it', async () => {
  const unit = join(folder, 'cgroup/nova.service');
  mkdirSync(join(unit, 'service'), { recursive: true });
  writeFileSync(join(folder, 'self'), '0::/nova.service/service\n');
  writeFileSync(join(unit, 'cgroup.subtree_control'), 'cpu memory pids\n');
  writeFileSync(join(unit, 'cgroup.procs'), '');
  class Grouped extends Sandbox {
    protected override readonly groups = BoxGroups.find([join(folder, 'cgroup')], join(folder, 'self'));
  }
  const root = freshRoot('this user');
  const sandbox = new Grouped(AppConfig.from({ NOVA_WORKSPACE: root, NOVA_DATA_DIR: join(folder, 'data') }));
  expect(await sandbox.state()).toMatchObject({ enforced: true });
  const groups = (): string[] => readdirSync(unit).filter((name) => name.startsWith('box-'));
  const earlier = groups();
  const running = sandbox.run(
    { tier: 'workspace', network: false, root, command: ['/bin/sh', '-c', ': > ran; until [ -e go ]; do :; done'] },
    { owner: 'test', timeoutMs: 60_000, signal: new AbortController().signal },
  );
  await eventually('it runs', () => readdirSync(root).includes('ran'));
  const own = groups().find((name) => !earlier.includes(name)) ?? '';
  const read = (name: string): string => readFileSync(join(unit, own, name), 'utf8').trim();
  expect([read('memory.max'), read('pids.max'), read('cgroup.procs')]).toEqual([`${1024 * MIB}`, '256', '0']);
  writeFileSync(join(unit, own, 'memory.events'), 'oom 1\noom_kill 1\n');
  writeFileSync(join(root, 'go'), '');
  expect(await running).toMatchObject({ stopped: 'memory' });
  await eventually(
    'its group is ended',
    () => existsSync(join(unit, own, 'cgroup.kill')) && read('cgroup.kill') === '1',
  );
});
