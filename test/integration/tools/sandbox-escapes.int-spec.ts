/** @needs bwrap */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { HealthIndicatorService } from '@nestjs/terminus';
import { AppConfig } from '../../../src/config/index.js';
import { SandboxIndicator } from '../../../src/modules/tools/sandbox/sandbox.indicator.js';
import { Sandbox, type Box, type BoxResult } from '../../../src/modules/tools/sandbox/sandbox.js';
import { SERVICE_ROOT } from '../../../src/modules/tools/sandbox/service-folders.js';
import { IS_ROOT, ORDINARY_USER, OrdinarySandbox } from './ordinary-sandbox.js';
import { scratch } from './sandbox-folder.js';
import { eventually } from '../../support/eventually.js';

const CANARY = 'nova-canary-7d1f';

let folder: string;
let workspace: string;
let outside: string;
let remove: () => Promise<void>;
let server: Server;
let port: number;
let sibling: ChildProcess;
let sockets: Server[];
const sandboxes: Record<string, Sandbox> = {};

beforeAll(async () => {
  ({ path: folder, remove } = await scratch());
  chmodSync(folder, 0o755);
  workspace = join(folder, 'workspace');
  outside = join(folder, 'outside');
  for (const path of [workspace, outside, join(folder, 'data')]) mkdirSync(path);
  writeFileSync(join(outside, 'secret'), CANARY, { mode: 0o644 });
  if (IS_ROOT) chownSync(workspace, ORDINARY_USER, ORDINARY_USER);
  process.env['NOVA_TEST_CANARY'] = CANARY;
  server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  port = typeof address === 'object' && address ? address.port : 0;
  sockets = [`\0nova-test-${process.pid}`, join(outside, 'socket')].map((path) => createServer().listen(path));
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('listening', resolve))));
  chmodSync(join(outside, 'socket'), 0o777);
  sibling = spawn('/bin/sleep', ['600'], { env: { CANARY } });
  const config = AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(folder, 'data') });
  sandboxes['this user'] = new Sandbox(config);
  sandboxes['an ordinary user'] = IS_ROOT ? new OrdinarySandbox(config) : sandboxes['this user'];
});
afterAll(async () => {
  delete process.env['NOVA_TEST_CANARY'];
  sibling.kill('SIGKILL');
  for (const one of [server, ...sockets]) await new Promise((resolve) => one.close(resolve));
  await remove();
});

function box(user: string, box: Partial<Box> & { script: string; timeoutMs?: number }): Promise<BoxResult> {
  const sandbox = sandboxes[user];
  if (sandbox === undefined) throw new Error(user);
  const { script, timeoutMs = 20_000, ...more } = box;
  return sandbox.run(
    { tier: 'workspace', network: false, root: workspace, command: ['/bin/bash', '-c', script], ...more },
    { owner: 'test', timeoutMs, signal: new AbortController().signal },
  );
}

const filled = (script: string): string =>
  script
    .replaceAll('$OUTSIDE', outside)
    .replaceAll('$FOLDER', folder)
    .replaceAll('$SERVICE', SERVICE_ROOT)
    .replaceAll('$PORT', `${port}`)
    .replaceAll('$TEST', `${process.pid}`)
    .replaceAll('$SIBLING', `${sibling.pid}`)
    .replaceAll('$CANARY', CANARY);

const syscall = (...args: (number | string)[]): string => `perl -e 'exit(syscall(${args.join(', ')}) >= 0 ? 0 : 1)'`;
const socketOf = (family: number, type: number, protocol = 0): string =>
  `perl -e 'exit(socket(my $s, ${family}, ${type}, ${protocol}) ? 0 : 1)'`;
/** `path` is an expression of Perl; Node pads abstract names to the full length. */
const unixSocket = (path: string): string =>
  `perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_STREAM, 0); exit(connect($s, pack_sockaddr_un(${path})) ? 0 : 1)'`;

/** Makes a file `s` whose set-id bits another user of the host would get. */
const setId = (call: string, code: string): { name: string; script: string } => ({
  name: `makes a set-id file by ${call}`,
  script: `rm -f s; perl -e '$s = "s"; ${code}; exit(-u "s" || -g "s" ? 0 : 1)'`,
});

/** Succeeds where there is no wall. `control` says that it does so for root on this host. */
const ESCAPES: { name: string; script: string; control?: false }[] = [
  { name: 'reads the password file', script: 'cat /etc/shadow > /dev/null' },
  { name: 'reads a file outside', script: 'grep $CANARY $OUTSIDE/secret' },
  { name: 'reads a file outside through a link', script: 'ln -sf $OUTSIDE/secret s && grep $CANARY s' },
  { name: 'links a file outside into the workspace', script: 'rm -f h; ln $OUTSIDE/secret h' },
  { name: 'finds the environment of the service', script: 'env | grep -E "$CANARY|NODE_OPTIONS|^JEST"' },
  { name: 'finds the environment of another process', script: 'grep -qa $CANARY /proc/[0-9]*/environ' },
  { name: 'finds the command line of another process', script: 'grep -qaE "sleep.6[0]0|[j]est" /proc/[0-9]*/cmdline' },
  { name: 'writes outside', script: 'touch $OUTSIDE/planted && rm $OUTSIDE/planted' },
  { name: 'climbs out of the workspace', script: 'cat ../outside/secret' },
  {
    name: 'climbs out through an inherited descriptor',
    script: 'for n in $(seq 3 20); do [ -d /proc/self/fd/$n/ ] && exit 0; done; exit 1',
    control: false,
  },
  {
    name: 'has descriptors that nobody opened for it',
    script:
      'for fd in /proc/$$/fd/*; do case ${fd##*/} in 0|1|2) ;; *) [ -e $fd ] && ls -l $fd && exit 0 ;; esac; done; exit 1',
    control: false,
  },
  {
    name: 'finds files of the host open in a process',
    script:
      'for fd in /proc/[0-9]*/fd/*; do case $(readlink $fd) in /dev/null|/proc/*|socket:*|pipe:*|anon_inode:*eventfd*|"") ;; *) ls -l $fd; exit 0 ;; esac; done; exit 1',
    control: false,
  },
  {
    name: 'climbs out through the root of a process',
    script: 'cat /proc/1/root$OUTSIDE/secret || cat /proc/$SIBLING/root$OUTSIDE/secret',
  },
  { name: 'writes to the system', script: 'touch /usr/nova-planted && rm /usr/nova-planted' },
  { name: 'replaces a program', script: '[ -w /usr/bin/git ]' },
  { name: 'changes the accounts', script: '[ -w /etc/passwd ]' },
  { name: 'makes folders in the root', script: 'mkdir /nova-planted && rmdir /nova-planted' },
  { name: 'makes devices', script: 'mknod d b 254 0 && rm d' },
  { name: 'finds devices', script: 'ls /dev | grep -E "^(kmsg|mem|kvm|fuse|vda|sda|nvme0n1|loop0)$"', control: false },
  { name: 'finds /sys', script: 'ls /sys/kernel' },
  { name: 'finds /run and /var', script: 'ls -d /var/lib || ls -d /run/lock' },
  { name: 'finds homes', script: 'ls -d /root || ls -d /home' },
  { name: 'finds the data folder', script: 'ls -d $FOLDER/data' },
  { name: 'finds the settings of the service', script: 'ls $SERVICE/package.json' },
  { name: 'finds the dependencies of the service', script: 'ls -d $SERVICE/node_modules || ls -d /nova/node_modules' },
  { name: 'reaches a local TCP service', script: 'exec 3<> /dev/tcp/127.0.0.1/$PORT' },
  { name: 'reaches an abstract unix socket of the host', script: unixSocket('pack("a108", "\\0nova-test-$TEST")') },
  { name: 'reaches a unix socket outside', script: unixSocket('"$OUTSIDE/socket"') },
  { name: 'reaches the network by UDP', script: 'echo > /dev/udp/192.0.2.1/53', control: false },
  { name: 'sees network interfaces', script: '[ "$(grep -c : /proc/net/dev)" -gt 1 ]' },
  { name: 'opens packet sockets', script: socketOf(17, 3) },
  { name: 'opens vsock, which no network namespace holds', script: socketOf(40, 1), control: false },
  { name: 'opens raw sockets', script: socketOf(2, 3, 1) },
  { name: 'signals a process of the host', script: 'kill -0 $SIBLING' },
  { name: 'is traced', script: syscall(101, 0, 0, 0, 0) },
  { name: 'traces a process of the host', script: syscall(101, 16, '$SIBLING', 0, 0) },
  { name: 'holds a process of the host', script: syscall(434, '$SIBLING', 0) },
  {
    name: 'reads the memory of another process',
    script: 'head -c 1 /proc/$SIBLING/mem 2>&1 | grep -q "Input/output"',
  },
  {
    name: 'types into a terminal, as far as one is there',
    script: `perl -e 'my $c = "x"; ioctl(STDIN, 0x5412, $c); exit($! == 1 ? 1 : 0)'`,
  },
  {
    name: 'names files by handles',
    script: `perl -e '$h = pack("I2", 128, 0) . "\\0" x 128; $m = pack("i", 0); $p = "."; exit(syscall(303, -100, $p, $h, $m, 0) >= 0 ? 0 : 1)'`,
    control: false,
  },
  { name: 'opens a read-only file again to write', script: 'exec 3< /usr/bin/env && : >> /proc/self/fd/3' },
  { name: 'makes the system writable', script: 'unshare -m mount -o remount,rw,bind / /', control: false },
  { name: 'enters a namespace by its file', script: 'nsenter --net=/proc/$SIBLING/ns/net true' },
  { name: 'loads code into the kernel', script: syscall(175, 0, 0, '""'), control: false },
  {
    name: 'moves into another control group',
    script: 'for f in $(find /sys/fs/cgroup -name cgroup.procs); do [ -w $f ] && exit 0; done; exit 1',
    control: false,
  },
  { name: 'renames the machine', script: 'hostname evil && hostname nova', control: false },
  { name: 'sets the clock', script: syscall(164, 0, 0), control: false },
  { name: 'makes a user namespace', script: 'unshare -Ur true' },
  { name: 'makes a user namespace by clone', script: syscall(56, '0x10000011', 0, 0, 0, 0), control: false },
  { name: 'makes a mount namespace', script: 'unshare -m true' },
  { name: 'mounts', script: 'unshare -m mount -t tmpfs x /mnt' },
  { name: 'enters the namespaces of process 1', script: 'nsenter -t 1 -m -n true || nsenter -t $SIBLING -m -n true' },
  { name: 'changes its root', script: 'chroot / true' },
  {
    name: 'uses io_uring',
    script: `perl -e '$p = "\\0" x 120; exit(syscall(425, 1, $p) >= 0 ? 0 : 1)'`,
    control: false,
  },
  { name: 'uses userfaultfd', script: syscall(323, 1) },
  { name: 'uses keyrings', script: syscall(250, 0, -3, 0) },
  {
    name: 'uses bpf',
    script: `perl -e '$p = "\\0" x 120; exit(syscall(321, 0, $p, 120) >= 0 ? 0 : 1)'`,
    control: false,
  },
  {
    name: 'uses perf',
    script: `perl -e '$p = "\\0" x 120; exit(syscall(298, $p, 0, -1, -1, 0) >= 0 ? 0 : 1)'`,
    control: false,
  },
  { name: 'reads the kernel log', script: syscall(103, 10, 0, 0) },
  { name: 'has capabilities', script: 'grep CapEff /proc/self/status | grep -v 0000000000000000' },
  { name: 'is root', script: '[ "$(id -u)" = 0 ] || su -c true' },
  { name: 'gives files away', script: 'touch g && chown 1 g' },
  { name: 'makes a set-uid program', script: 'rm -f s; cp /bin/true s && chmod u+s s && [ -u s ]' },
  { name: 'makes a set-gid program', script: 'rm -f s; install -m 2755 /bin/true s && [ -g s ]' },
  setId('open', 'syscall(2, $s, 0102, 04755)'),
  setId('creat', 'syscall(85, $s, 02755)'),
  setId('chmod', 'open(F, ">s"); syscall(90, $s, 06755)'),
  setId('fchmod', 'open(F, ">s"); syscall(91, fileno(F), 04755)'),
  setId('mknod', 'syscall(133, $s, 0104755, 0)'),
  setId('openat', 'syscall(257, -100, $s, 0102, 02755)'),
  setId('mknodat', 'syscall(259, -100, $s, 0104755, 0)'),
  setId('fchmodat', 'open(F, ">s"); syscall(268, -100, $s, 04755)'),
  setId('fchmodat2', 'open(F, ">s"); syscall(452, -100, $s, 04755, 0)'),
  setId('openat2', '$how = pack("Q3", 0102, 04755, 0); syscall(437, -100, $s, $how, 24)'),
  setId(
    'a file without a name',
    '$here = "."; $fd = syscall(2, $here, 020200002, 04755); $from = "/proc/self/fd/$fd"; syscall(265, -100, $from, -100, $s, 0x400)',
  ),
  { name: 'can gain privileges', script: 'grep -E "NoNewPrivs:.*0" /proc/self/status' },
  { name: 'writes kernel settings', script: '[ -w /proc/sys/kernel/core_pattern ] || [ -w /proc/sysrq-trigger ]' },
  { name: 'raises its limits', script: 'prlimit --pid $$ --nproc=100000:100000', control: false },
  {
    name: 'raises its priority',
    script: 'nice -n -5 true 2>&1 | grep -vq cannot; nice -n -5 sh -c "[ $(nice) -lt 0 ]"',
    control: false,
  },
  {
    name: 'makes itself hard to kill for want of memory',
    script: 'echo -1000 > /proc/self/oom_score_adj',
    control: false,
  },
  { name: 'steps behind the service in the order of that', script: 'echo 0 > /proc/self/oom_score_adj' },
  {
    name: 'is not before everything else in that order',
    script: '[ "$(cat /proc/self/oom_score_adj)" != 1000 ]',
  },
  {
    name: 'has another process out of that order',
    script: 'sleep 5 & echo 0 > /proc/$!/oom_score_adj || echo 0 > /proc/$!/task/$!/oom_score_adj',
  },
  {
    name: 'makes memory that only a descriptor holds',
    script: `perl -e '$n = "x"; exit(syscall(319, $n, 0) >= 0 ? 0 : 1)'`,
  },
  { name: 'makes such memory in secret', script: syscall(447, 0), control: false },
  { name: 'makes a large segment of System V', script: syscall(29, 0, '1 << 20', '0600'), control: false },
  { name: 'makes a larger one than 32 bits tell', script: syscall(29, 0, '1 << 32', '0600'), control: false },
  { name: 'makes many semaphores', script: syscall(64, 0, 30_000, '0600'), control: false },
  { name: 'makes a queue of messages', script: syscall(68, 0, '0600'), control: false },
  {
    name: 'steps behind the service by the older name of that place',
    script: 'echo 0 > /proc/self/oom_adj',
  },
];

it('is enforced here: these tests mean something', async () => {
  for (const sandbox of Object.values(sandboxes)) expect(await sandbox.state()).toMatchObject({ enforced: true });
});

(IS_ROOT ? describe : describe.skip)('without a sandbox', () => {
  it.each(ESCAPES.filter(({ control }) => control !== false))('root $name: the attack works', ({ script }) => {
    const cwd = join(outside, 'control');
    mkdirSync(cwd, { recursive: true });
    writeFileSync(join(outside, 'outside'), '');
    const { status } = spawnSync('/bin/bash', ['-c', filled(script.replace('../outside/secret', '../secret'))], {
      cwd,
      env: { ...process.env },
    });
    expect(status).toBe(0);
  });
});

describe.each(['this user', 'an ordinary user'])('a box of a service that is %s', (user) => {
  describe.each(['workspace', 'nova'] as const)('in the tier %s', (tier) => {
    it.each(ESCAPES)('never $name', async ({ script }) => {
      const result = await box(user, { tier, script: `( ${filled(script)} ) && echo ESCAPED` });
      expect(result.output).not.toContain('ESCAPED');
      expect(result.exitCode).not.toBe(0);
      expect(result.output).not.toContain(CANARY);
    });
  });

  it.each(ESCAPES)('never begins, in the tier isolated, to $name', async ({ script }) => {
    const ran = join(workspace, 'ran');
    await expect(box(user, { tier: 'isolated', script: `touch ${ran} /workspace/ran; ${script}` })).rejects.toThrow(
      'no commands',
    );
    expect(existsSync(ran)).toBe(false);
  });

  it('reads and writes the workspace, and runs programs', async () => {
    const result = await box(user, {
      script:
        'echo hello > made && mkdir -p a/b && cat made && whoami && echo x > /tmp/t && echo x > /dev/shm/s && git --version && pwd',
    });
    expect(result).toMatchObject({ exitCode: 0, stopped: null, boundary: 'sandbox workspace, network off' });
    expect(result.output).toMatch(/^hello\nnova\ngit version .*\n\/workspace\n$/);
    expect(readFileSync(join(workspace, 'made'), 'utf8')).toBe('hello\n');
  });

  it('gives files every mode that is no danger to the host', async () => {
    const { output } = await box(user, {
      script: `rm -rf modes; mkdir -m 1777 modes && cd modes && install -m 755 /bin/true p && ./p && : > f && chmod 0640 f &&
        tar cf a.tar p f && mkdir d && tar xf a.tar -C d && cp -a d e && git init -q r && mkfifo o && stat -c %a . p f e/p e/f r o`,
    });
    expect(output).toBe('1777\n755\n640\n755\n640\n755\n644\n');
  });

  it('sees the code of the service in the tier nova only, and cannot change it', async () => {
    expect(
      (await box(user, { tier: 'nova', script: 'ls /nova && ls /nova/src/main.ts; touch /nova/src/x' })).output,
    ).toMatch(/^docs\nmigrations\nsrc\n/);
    expect((await box(user, { tier: 'nova', script: 'touch /nova/src/x' })).exitCode).not.toBe(0);
    expect((await box(user, { tier: 'workspace', script: 'ls /nova' })).output).toBe('');
  });

  it('keeps nothing between two calls but the workspace', async () => {
    await box(user, { script: 'echo evil > ~/.bashrc; echo evil > /tmp/x; echo evil > /dev/shm/x; (sleep 600 &)' });
    expect((await box(user, { script: 'ls -A ~ /tmp /dev/shm' })).output).not.toContain('evil');
    expect((await box(user, { script: 'cat ~/.bashrc /tmp/x' })).exitCode).not.toBe(0);
  });

  it('runs no program that another call planted', async () => {
    const planted = ['git', 'sh', 'env', 'ls', 'libc.so.6', 'ld.so.preload', '.bashrc', '.profile', '.gitconfig'];
    const files = planted.map((name) => `printf '#!/bin/sh\\necho ESCAPED\\n' > ${name}; chmod +x ${name}`).join('; ');
    await box(user, {
      script: `${files}; mkdir -p .config/git; printf '[core]\\n\\tpager = echo ESCAPED' > .config/git/config`,
    });
    const env = { GIT_DIR: '/workspace/none' };
    for (const command of [
      ['/usr/bin/env', 'git', 'version'],
      ['/bin/bash', '-lc', 'ls > /dev/null; sh -c "ls -d ."; env'],
    ]) {
      const result = await box(user, { script: '', command, environment: env });
      expect(result.exitCode).toBe(0);
      expect(result.output).not.toContain('ESCAPED');
    }
    await box(user, { script: `rm -rf ${planted.join(' ')} .config` });
  });

  it('leaves nothing running, however it was left behind', async () => {
    const marker = `${91_000 + Math.floor(Math.random() * 900)}`;
    const script = `(setsid sleep ${marker} &) ; (nohup setsid bash -c "trap '' TERM HUP INT; sleep ${marker}" > /dev/null 2>&1 &) ; sleep 0.2`;
    expect((await box(user, { script })).exitCode).toBe(0);
    expect(processesWith(marker)).toEqual([]);
    const timedOut = await box(user, { script: `trap '' TERM HUP INT; ${script}; sleep ${marker}`, timeoutMs: 1_500 });
    expect(timedOut).toMatchObject({ stopped: 'timeout', exitCode: null });
    expect(processesWith(marker)).toEqual([]);
  });

  it('is ended by a cancel', async () => {
    const abort = new AbortController();
    const marker = `${92_000 + Math.floor(Math.random() * 900)}`;
    const running = sandboxes[user]?.run(
      {
        tier: 'workspace',
        network: false,
        root: workspace,
        command: ['/bin/bash', '-c', `touch started-${marker}; setsid sleep ${marker} & wait`],
      },
      { owner: 'test', timeoutMs: 60_000, signal: abort.signal },
    );
    await Promise.race([
      eventually('the command runs', () => existsSync(join(workspace, `started-${marker}`))),
      running,
    ]);
    abort.abort(new Error('cancelled'));
    await expect(running).rejects.toThrow('cancelled');
    expect(processesWith(marker)).toEqual([]);
  });

  it('bounds what a command takes', async () => {
    const bomb = await box(user, {
      script: 'bomb() { bomb | bomb & }; bomb; sleep 2; echo survived',
      timeoutMs: 6_000,
    });
    expect(bomb.output.length).toBeLessThan(200_000);
    const flood = await box(user, { script: 'yes' });
    expect(flood.stopped).toBe('output');
    expect(flood.output.length).toBeLessThan(140_000);
    const hog = await box(user, { script: `perl -e '$x = "a" x (3 * 1024 ** 3); print "ESCAPED"'` });
    expect(hog.output).not.toContain('ESCAPED');
    const disk = await box(user, { script: 'head -c 400M /dev/zero > /tmp/big && echo ESCAPED' });
    expect(disk.output).not.toContain('ESCAPED');
    const file = await box(user, { script: 'truncate -s 10G big && echo ESCAPED; rm -f big' });
    expect(file.output).not.toContain('ESCAPED');
    const files = await box(user, {
      script: 'for n in $(seq 2000); do eval "exec {f$n}< /dev/null" || exit 1; done; echo ESCAPED',
    });
    expect(files.output).not.toContain('ESCAPED');
  });

  it('does not let the .git of the owner be changed', async () => {
    const repository = join(folder, `repository-of-${user.replaceAll(' ', '-')}`);
    mkdirSync(repository);
    execFileSync('git', ['init', '-q', repository]);
    if (IS_ROOT) execFileSync('chown', ['-R', `${ORDINARY_USER}:${ORDINARY_USER}`, repository]);
    const script = [
      'echo evil > .git/hooks/pre-commit',
      'echo evil >> .git/config',
      'echo evil > .git/commondir',
      'mv .git moved',
      'rm -rf .git',
      'git init -q --template= --separate-git-dir=/workspace/other .',
    ].join('; ');
    await box(user, { root: repository, script });
    expect(existsSync(join(repository, '.git/hooks/pre-commit'))).toBe(false);
    expect(readFileSync(join(repository, '.git/config'), 'utf8')).not.toContain('evil');
    expect(readdirSync(join(repository, '.git'))).not.toContain('commondir');
    const settings = await box(user, {
      root: repository,
      script: 'touch .git/hooks/x; echo evil >> .git/config; touch .git/index.lock && rm .git/index.lock',
      git: 'settings',
    });
    expect(settings.exitCode).toBe(0);
    expect(existsSync(join(repository, '.git/hooks/x'))).toBe(false);
    expect(readFileSync(join(repository, '.git/config'), 'utf8')).not.toContain('evil');
  });
});

describe('what cannot be enforced', () => {
  const config = (more: Record<string, string> = {}): AppConfig =>
    AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: join(folder, 'data'), ...more });

  it('is refused when bubblewrap is not there, and readiness says so', async () => {
    class Bare extends Sandbox {
      protected override get bubblewrap(): string[] {
        return [];
      }
    }
    const sandbox = new Bare(config());
    const run = sandbox.run(
      { tier: 'workspace', network: false, root: workspace, command: ['/bin/touch', '/workspace/ran'] },
      { owner: 'test', timeoutMs: 5_000, signal: new AbortController().signal },
    );
    await expect(run).rejects.toThrow('bubblewrap is not installed');
    expect(existsSync(join(workspace, 'ran'))).toBe(false);
    const report = new SandboxIndicator(config(), sandbox).check(new HealthIndicatorService().check('sandbox'));
    expect(await report).toEqual({
      sandbox: { status: 'down', reason: 'bubblewrap is not installed; tools refuse' },
    });
  });

  it.each([
    ['does not start', ['/bin/false']],
    [
      'does nothing at all',
      ['/bin/sh', '-c', 'while [ "$1" != /bin/sh ] && [ $# -gt 0 ]; do shift; done; exec "$@"', 'fake'],
    ],
    ['says that it held', ['/bin/sh', '-c', 'echo held; exit 1', 'fake']],
  ])('is refused when bubblewrap %s', async (_, program) => {
    class Broken extends Sandbox {
      protected override get bubblewrap(): string[] {
        return program;
      }
    }
    const state = await new Broken(config()).state();
    expect(state).toMatchObject({ enforced: false });
  });

  it('is asked for again where it did not hold, and holds once what was missing is there', async () => {
    let isThere = false;
    class Later extends Sandbox {
      protected override readonly probeAgainMs = 20;
      protected override get bubblewrap(): readonly string[] {
        return isThere ? super.bubblewrap : [];
      }
    }
    const sandbox = new Later(config());
    expect(await sandbox.state()).toMatchObject({ enforced: false, reason: 'bubblewrap is not installed' });
    isThere = true;
    await eventually('the sandbox holds', async () => (await sandbox.state()).enforced);
    const options = { owner: 'test', timeoutMs: 20_000, signal: new AbortController().signal };
    const held = sandbox.run({ tier: 'workspace', network: false, root: workspace, command: ['/bin/true'] }, options);
    expect(await held).toMatchObject({ exitCode: 0 });
  });

  it('is refused for the tiers isolated and host', async () => {
    const sandbox = new Sandbox(config());
    const options = { owner: 'test', timeoutMs: 5_000, signal: new AbortController().signal };
    const touch = { root: workspace, command: ['/bin/touch', join(workspace, 'ran')] };
    await expect(sandbox.run({ ...touch, tier: 'isolated', network: false }, options)).rejects.toThrow('no commands');
    await expect(sandbox.run({ ...touch, tier: 'host', network: false }, options)).rejects.toThrow(
      'not started with it',
    );
    expect(existsSync(join(workspace, 'ran'))).toBe(false);
  });

  it('is not held back on the host, which is said, with no secret in its environment and its group ended', async () => {
    const sandbox = new Sandbox(config({ SHELL_SANDBOX: 'host' }));
    const marker = `${93_000 + Math.floor(Math.random() * 900)}`;
    const result = await sandbox.run(
      { tier: 'host', network: false, root: outside, command: ['/bin/sh', '-c', `sleep ${marker} & env; pwd`] },
      { owner: 'test', timeoutMs: 10_000, signal: new AbortController().signal },
    );
    expect(result).toMatchObject({ exitCode: 0, boundary: 'UNCONFINED on the host' });
    expect(result.output).toContain(outside);
    expect(result.output).not.toContain(CANARY);
    expect(processesWith(marker)).toEqual([]);
  });
});

/** Processes of this machine with `word` among their arguments; the ended ones that nobody has reaped do not count. */
function processesWith(word: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word);
    } catch {
      return false;
    }
  });
}
