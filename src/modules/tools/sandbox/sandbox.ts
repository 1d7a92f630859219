import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { lstat, mkdtemp, open, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { execa } from 'execa';
import { AppConfig, type SandboxTier } from '../../../config/index.js';
import { HealthIndicators } from '../../../platform/health/index.js';
import { BOX_USER } from './box-user.js';
import { accounts, bubblewrapArguments, type BoxLimits } from './bubblewrap.js';
import { OutputWindow } from './output-window.js';
import { seccompFilter } from './seccomp-filter.js';
import { serviceFolders } from './service-folders.js';
import { Slots } from './slots.js';

/** One command to run in a box. */
export interface Box {
  tier: SandboxTier;
  network: boolean;
  /** What is at /workspace in the box. */
  root: string;
  /** Where below it the command starts. */
  folder?: readonly string[];
  /** The program, by its path in the box, and its arguments. */
  command: readonly string[];
  environment?: Readonly<Record<string, string>>;
  limits?: Partial<BoxLimits>;
  /**
   * What of a `.git` that is not the task's own stays read-only: all of it, or what makes git run programs. The own `.git`
   * of a work tree is always writable.
   */
  git?: 'all' | 'settings';
}

export interface BoxResult {
  /** Null when a signal ended it. */
  exitCode: number | null;
  /** Why the sandbox ended it, if it did. */
  stopped: 'timeout' | 'output' | null;
  /** Standard output and error together, the middle cut when it is long. */
  output: string;
  /** What held while it ran, for the result. */
  boundary: string;
}

/** The sandbox cannot give what was asked for; nothing was run. `message` is a sentence for the model. */
export class SandboxRefused extends Error {
  override readonly name = 'SandboxRefused';
}

/** Whether tiers below `host` can be enforced on this machine. */
export type SandboxState = { enforced: true; user: 'namespace' | 'switched' } | { enforced: false; reason: string };

const MIB = 1024 * 1024;
const LIMITS: BoxLimits = {
  memory: 1024 * MIB,
  processes: 256,
  fileSize: 256 * MIB,
  openFiles: 1024,
  cpuSeconds: 300,
  temporary: 256 * MIB,
};
/** Commands at one time in this process. */
const MAX_BOXES = 4;
/** Of either end of an output. */
const WINDOW_BYTES = 64 * 1024;
const MAX_OUTPUT_BYTES = 16 * MIB;
const BUBBLEWRAP = ['/usr/bin/bwrap', '/usr/local/bin/bwrap', '/bin/bwrap'];
const GIT_SETTINGS = ['.git/config', '.git/config.worktree', '.git/hooks', '.git/info', '.git/modules'];

/** What a command finds in its environment: nothing of the service's. */
const ENVIRONMENT = {
  PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
  HOME: '/tmp',
  TMPDIR: '/tmp',
  LANG: 'C.UTF-8',
  TERM: 'dumb',
};

/**
 * Runs commands of tools behind the operating system's boundary. What the boundary needs is tried once at start, with a
 * box that attacks it; while that has not passed, every tier but `host` is refused, never run with less.
 */
@Injectable()
export class Sandbox implements OnModuleInit {
  private readonly logger = new Logger(Sandbox.name);
  private readonly slots = new Slots(MAX_BOXES);
  private readonly filter = seccompFilter();
  private readonly bubblewrap = BUBBLEWRAP.find((path) => existsSync(path));
  private readonly asRoot = process.geteuid?.() === 0;
  private bindByDescriptor = false;
  private probed: Promise<SandboxState> | undefined;

  constructor(
    private readonly config: AppConfig,
    indicators: HealthIndicators,
  ) {
    indicators.register({
      name: 'sandbox',
      decides: false,
      report: async () => {
        const state = await this.state();
        const host = config.sandbox === 'host' ? { host: 'SHELL_SANDBOX=host allows unconfined commands' } : {};
        return state.enforced
          ? { status: 'up', user: state.user, ...host }
          : { status: 'down', reason: `${state.reason}; tools refuse`, ...host };
      },
    });
  }

  onModuleInit(): void {
    if (this.config.sandbox === 'host') {
      this.logger.warn(
        'SHELL_SANDBOX=host: pods of the tier host run commands UNCONFINED, as the user of this service.',
      );
    }
    void this.state().then((state) => {
      if (!state.enforced) this.logger.warn(`No sandbox: ${state.reason}. Shell and git tools refuse.`);
    });
  }

  /** What the probe found; the first call tries it. */
  state(): Promise<SandboxState> {
    this.probed ??= this.probe();
    return this.probed;
  }

  /**
   * Runs `box` to its end and leaves nothing of it running.
   * @throws SandboxRefused when the boundary asked for cannot be had; `signal.reason` when it aborts.
   */
  async run(box: Box, options: { timeoutMs: number; signal: AbortSignal }): Promise<BoxResult> {
    return this.slots.use(options.signal, async () => {
      const child = await this.start(box, options.timeoutMs / 1000 + 5);
      const boundary = box.tier === 'host' ? 'UNCONFINED on the host' : `sandbox ${box.tier}, network off`;
      return { ...(await this.attend(child, options)), boundary };
    });
  }

  /**
   * Starts `box` with pipes to all three streams, for what is to live on: whoever calls this ends it. It dies with the
   * service, and after `lifeSeconds` (0 is never).
   * @throws SandboxRefused
   */
  async start(box: Box, lifeSeconds: number): Promise<ChildProcess> {
    if (box.tier === 'isolated') throw new SandboxRefused('The sandbox tier "isolated" runs no commands.');
    if (box.tier === 'host') return this.startOnHost(box);
    const state = await this.state();
    if (!state.enforced) {
      throw new SandboxRefused(`The sandbox tier "${box.tier}" cannot be enforced on this machine: ${state.reason}.`);
    }
    if (box.network) {
      throw new SandboxRefused('Network access cannot be confined on this machine yet, so nothing was run.');
    }
    return this.startInBox(box, lifeSeconds);
  }

  private async startInBox(box: Box & { tier: SandboxTier }, lifeSeconds: number): Promise<ChildProcess> {
    if (this.filter === null || this.bubblewrap === undefined) throw new SandboxRefused('There is no sandbox.');
    const root = await open(box.root, 'r').catch(() => null);
    if (root === null) throw new SandboxRefused('The workspace does not exist.');
    try {
      const owner = await root.stat();
      const user = !this.asRoot || owner.uid === 0 ? BOX_USER : { uid: owner.uid, gid: owner.gid };
      const files = accounts(user);
      const real = await realpath(box.root);
      const plan = bubblewrapArguments(
        {
          tier: box.tier === 'nova' ? 'nova' : 'workspace',
          root: real,
          bindByDescriptor: this.bindByDescriptor,
          folder: box.folder ?? [],
          readOnly: await this.guardedGit(real, box.git),
          service: serviceFolders(),
          asRoot: this.asRoot,
          user,
          environment: { ...ENVIRONMENT, ...box.environment },
          limits: { ...LIMITS, ...box.limits },
          lifeSeconds: Math.ceil(lifeSeconds),
          command: box.command,
        },
        { root: 3, seccomp: 4, passwd: 5, group: 6 },
      );
      const child = spawn(this.bubblewrap, plan, {
        cwd: '/',
        env: {},
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe', root.fd, 'pipe', 'pipe', 'pipe'],
      });
      for (const [index, content] of [this.filter, files.passwd, files.group].entries()) {
        const pipe = child.stdio[4 + index];
        if (pipe && 'end' in pipe) pipe.on('error', () => undefined).end(content);
      }
      return await started(child);
    } finally {
      await root.close();
    }
  }

  private async startOnHost(box: Box): Promise<ChildProcess> {
    if (this.config.sandbox !== 'host') {
      throw new SandboxRefused('The sandbox tier "host" is not allowed here: the service was not started with it.');
    }
    this.logger.warn(`Running a command UNCONFINED on the host, in ${box.root}.`);
    const child = spawn('/usr/bin/setpriv', ['--pdeathsig=KILL', '--', ...box.command], {
      cwd: join(box.root, ...(box.folder ?? [])),
      env: { ...ENVIRONMENT, ...box.environment },
      detached: true,
      stdio: 'pipe',
    });
    return started(child);
  }

  /** Reads what a child says until it and everything of it has ended, or has to be ended. */
  private async attend(
    child: ChildProcess,
    { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
  ): Promise<Omit<BoxResult, 'boundary'>> {
    const output = new OutputWindow(WINDOW_BYTES);
    let stopped: BoxResult['stopped'] = null;
    const stop = (why: BoxResult['stopped']): void => {
      stopped ??= why;
      killGroup(child);
    };
    const cancel = (): void => stop(null);
    const timer = setTimeout(() => stop('timeout'), timeoutMs);
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    child.stdin?.on('error', () => undefined).end();
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        output.add(chunk);
        if (output.total > MAX_OUTPUT_BYTES) stop('output');
      });
    }
    // On the host, what escaped the group may hold the pipes open: the end of the command is the end of the call.
    const exitCode = await new Promise<number | null>((resolve) => {
      child.once('close', resolve);
      child.once('exit', (code) => {
        killGroup(child);
        setTimeout(() => resolve(code), 1_000).unref();
      });
    });
    clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
    child.stdout?.destroy();
    child.stderr?.destroy();
    signal.throwIfAborted();
    return { exitCode, stopped, output: output.toString() };
  }

  /** Paths of `.git` that commands may not write: the owner's git must not come to run what a model wrote there. */
  private async guardedGit(root: string, guard: Box['git'] = 'all'): Promise<string[]> {
    const trees = join(await realpath(this.config.dataDir).catch(() => this.config.dataDir), 'trees');
    if (root.startsWith(trees + sep)) return [];
    const git = await lstat(join(root, '.git')).catch(() => null);
    if (git === null || git.isSymbolicLink()) return [];
    return guard === 'all' || !git.isDirectory() ? ['.git'] : GIT_SETTINGS;
  }

  /** Tries a box that attacks its walls. */
  private async probe(): Promise<SandboxState> {
    if (process.platform !== 'linux') return { enforced: false, reason: 'this is not Linux' };
    if (this.filter === null) return { enforced: false, reason: `there is no seccomp filter for ${process.arch}` };
    if (this.bubblewrap === undefined) return { enforced: false, reason: 'bubblewrap is not installed' };
    const root = await mkdtemp(join(tmpdir(), 'nova-probe-'));
    try {
      const help = await execa(this.bubblewrap, ['--help'], { env: {}, extendEnv: false, timeout: 5_000 });
      this.bindByDescriptor = help.stdout.includes('--bind-fd');
      const child = await this.startInBox(
        { tier: 'workspace', network: false, root, command: ['/bin/sh', '-c', ATTACK] },
        20,
      );
      const result = await this.attend(child, { timeoutMs: 15_000, signal: new AbortController().signal });
      if (result.exitCode === 0 && result.output.trim() === 'held') {
        return { enforced: true, user: this.asRoot ? 'switched' : 'namespace' };
      }
      return { enforced: false, reason: `bubblewrap does not hold (${result.output.trim().slice(0, 300)})` };
    } catch (error) {
      return {
        enforced: false,
        reason: `bubblewrap does not work (${error instanceof Error ? error.message : 'unknown'})`,
      };
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  }
}

/** Says `held` only if every wall stands; otherwise which one does not. */
const ATTACK = [
  'fell() { echo "$1"; exit 1; }',
  '[ "$(id -u)" != 0 ] || fell "it runs as root"',
  '[ ! -e /etc/shadow ] || fell "the files of the host are visible"',
  '[ "$(ls /proc | grep -c "^[0-9]")" -lt 20 ] || fell "processes of the host are visible"',
  'grep -q "^CapEff:[[:space:]]*0*$" /proc/self/status || fell "it has capabilities"',
  'grep -q "^NoNewPrivs:[[:space:]]*1$" /proc/self/status || fell "it can gain privileges"',
  'grep -q "^Seccomp:[[:space:]]*2$" /proc/self/status || fell "system calls are not filtered"',
  '[ "$(grep -c : /proc/net/dev)" -le 1 ] || fell "the network is visible"',
  '! unshare -U true 2>/dev/null || fell "it can make namespaces"',
  '! touch /usr/probe 2>/dev/null || fell "the system is writable"',
  '! touch /probe 2>/dev/null || fell "the root is writable"',
  '[ "$(ulimit -c)" = 0 ] || fell "limits do not hold"',
  'echo held',
].join('\n');

/** `child` once it runs. @throws SandboxRefused when it cannot be started. */
async function started(child: ChildProcess): Promise<ChildProcess> {
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => reject(new SandboxRefused('The command could not be started.', { cause: error })));
  });
  child.on('error', () => undefined);
  return child;
}

/** Ends the process group of `child`; in a box its pid namespace ends with it. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
