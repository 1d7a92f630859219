import { constants, existsSync } from 'node:fs';
import { chmod, open, realpath, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { execa } from 'execa';
import { AppConfig, type SandboxTier } from '../../../config/index.js';
import { killGroup, spawn, type ChildProcess } from '../../../platform/processes/index.js';
import { BOX_USER } from './box-user.js';
import { accounts, bubblewrapArguments, LAST_TO_RUN, type BoxLimits } from './bubblewrap.js';
import { Egress } from './egress.js';
import { BOX_NODE, EGRESS_SOCKET, PROXY_ENVIRONMENT, withForwarder } from './forwarder.js';
import { attend, type Attended } from './attend.js';
import { ATTACK, MEASURED } from './attack.js';
import { seccompFilter } from './seccomp-filter.js';
import { serviceFolders } from './service-folders.js';
import { Slots } from './slots.js';
import { temporaryFolder } from '../temporary-folder.js';
import { firstProcess, lifeOf, type BoxProcess } from './box-process.js';
import { BoxGroups, type BoxGroup } from './bounds/box-groups.js';
import { BOUNDS_ENDS } from './bounds/bounds-ends.js';
import { BoxKeeper, type Kept } from './bounds/box-keeper.js';
import type { BoundsEnd, BoxBounds } from './bounds/box-watch.js';

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
   * Where the root is no work tree, whose own `.git` is always writable: all of `.git` stays read-only, or everything but what
   * git itself writes there, so that no program that git is set up to run leaves anything else behind.
   */
  git?: 'all' | 'settings';
}

export interface BoxResult extends Omit<Attended, 'stopped'> {
  /** Why the sandbox ended it, if it did. */
  stopped: Attended['stopped'] | BoundsEnd;
  /** What held while it ran, for the result. */
  boundary: string;
}

/** The sandbox cannot give what was asked for; nothing was run. `message` is a sentence for the model. */
export class SandboxRefusedError extends Error {
  override readonly name = 'SandboxRefusedError';
}

/** Whether tiers below `host` can be enforced on this machine. */
export type SandboxState = { enforced: true; user: 'namespace' | 'switched' } | { enforced: false; reason: string };

interface OpenMount {
  handle: FileHandle;
  at: string;
  readOnly: boolean;
}

const MIB = 1024 * 1024;
const LIMITS: BoxLimits = {
  memory: 1024 * MIB,
  processes: 256,
  sockets: 2_048,
  fileSize: 256 * MIB,
  openFiles: 1024,
  cpuSeconds: 300,
  temporary: 256 * MIB,
};
/** A verdict that the sandbox does not hold is asked for again after this. */
const PROBE_AGAIN_MS = 10_000;
/** Commands at one time in this process. */
const MAX_BOXES = 4;
/** First to go when memory runs out. Taken before a box is made, so that it holds for all of it. */
const FIRST_TO_GO = ['/usr/bin/choom', '-n', '1000', '--'] as const;
const BUBBLEWRAP = ['/usr/bin/bwrap', '/usr/local/bin/bwrap', '/bin/bwrap'];
/** What makes git run programs, below `.git`. */
const GIT_SETTINGS = ['config', 'config.worktree', 'hooks', 'info', 'modules'];

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
  protected readonly probeAgainMs: number = PROBE_AGAIN_MS;
  protected readonly asRoot: boolean = process.geteuid?.() === 0;
  /** The first process of each box: the last to go. */
  private readonly firsts = new WeakMap<ChildProcess, Promise<BoxProcess | null>>();
  private readonly keeper: BoxKeeper;
  protected readonly groups: BoxGroups | null = BoxGroups.find();
  /** Whether the kernel ended a box for its memory, for each that has a control group. */
  private readonly endedByGroup = new WeakMap<ChildProcess, Promise<boolean>>();
  /** What keeps each box within its bounds; null for one that ended before it could be. */
  private readonly kept = new WeakMap<ChildProcess, Promise<Kept | null>>();
  private probed: Promise<SandboxState> | undefined;

  constructor(
    private readonly config: AppConfig,
    private readonly egress: Egress = new Egress(config),
  ) {
    this.keeper = new BoxKeeper(config.disk.minFree);
  }

  /** How bubblewrap is started, which stands last; empty where it is not installed now. */
  protected get bubblewrap(): readonly string[] {
    return BUBBLEWRAP.filter((path) => existsSync(path)).slice(0, 1);
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

  /** What the probe found; the first call tries it, and a later one again where it did not pass: what was missing may be there. */
  state(): Promise<SandboxState> {
    this.probed ??= this.probe().then((state) => {
      if (!state.enforced) setTimeout(() => (this.probed = undefined), this.probeAgainMs).unref();
      return state;
    });
    return this.probed;
  }

  /**
   * Runs `box` to its end and leaves nothing of it running. While all places are taken it waits; the next one that is free
   * goes to the owner that holds the fewest.
   * @throws SandboxRefusedError when the boundary asked for cannot be had; `signal.reason` when it aborts.
   */
  async run(box: Box, options: { owner: string; timeoutMs: number; signal: AbortSignal }): Promise<BoxResult> {
    return this.slots.use(options.owner, options.signal, async () => {
      const child = await this.start(box, options.timeoutMs / 1000 + 5);
      const network = box.network ? 'network through a proxy to public addresses' : 'network off';
      const boundary = box.tier === 'host' ? 'UNCONFINED on the host' : `sandbox ${box.tier}, ${network}`;
      const attended = await attend(child, this.firsts.get(child), options);
      return { ...attended, stopped: attended.stopped ?? (await this.endOf(child)), boundary };
    });
  }

  /** Why a started box was ended that took too much, as the end of a sentence; null where it was not. */
  async whyEnded(child: ChildProcess): Promise<string | null> {
    const end = await this.endOf(child);
    return end === null ? null : BOUNDS_ENDS[end];
  }

  private async endOf(child: ChildProcess): Promise<BoundsEnd | null> {
    const end = (await this.kept.get(child))?.ended ?? null;
    if (end !== null) return end;
    return (await this.endedByGroup.get(child)) === true ? 'memory' : null;
  }

  /**
   * Starts `box` with pipes to all three streams, for what is to live on: whoever calls this ends it. It dies with the
   * service, and after `lifeSeconds` (0 is never).
   * @throws SandboxRefusedError
   */
  async start(box: Box, lifeSeconds: number): Promise<ChildProcess> {
    if (box.tier === 'isolated') throw new SandboxRefusedError('The sandbox tier "isolated" runs no commands.');
    if (box.tier === 'host') return this.startOnHost(box);
    const state = await this.state();
    if (!state.enforced) {
      throw new SandboxRefusedError(
        `The sandbox tier "${box.tier}" cannot be enforced on this machine: ${state.reason}.`,
      );
    }
    return this.startInBox(box, lifeSeconds);
  }

  private async startInBox(box: Box, lifeSeconds: number): Promise<ChildProcess> {
    const starters = this.bubblewrap;
    const bwrap = starters.at(-1);
    if (this.filter === null || bwrap === undefined) throw new SandboxRefusedError('There is no sandbox.');
    const held = await this.openMounts(box);
    let group: BoxGroup | null = null;
    try {
      const owner = await held[0].handle.stat();
      const user = !this.asRoot || owner.uid === 0 ? BOX_USER : { uid: owner.uid, gid: owner.gid };
      const files = accounts(user);
      const mounts = held.map(({ at, readOnly }, index) => ({ at, readOnly, descriptor: 3 + index }));
      const pipe = 3 + mounts.length;
      const { options, command } = bubblewrapArguments(
        {
          tier: box.tier === 'nova' ? 'nova' : 'workspace',
          folder: box.folder ?? [],
          service: serviceFolders(),
          asRoot: this.asRoot,
          user,
          environment: { ...ENVIRONMENT, ...(box.network ? PROXY_ENVIRONMENT : {}), ...box.environment },
          limits: { ...LIMITS, cpuSeconds: lifeSeconds === 0 ? null : LIMITS.cpuSeconds, ...box.limits },
          lifeSeconds: Math.ceil(lifeSeconds),
          command: box.network ? withForwarder(box.command) : box.command,
        },
        { mounts, seccomp: pipe, passwd: pipe + 1, group: pipe + 2, info: pipe + 4 },
      );
      const told = [this.filter, files.passwd, files.group, options.map((option) => `${option}\0`).join('')];
      const own = await this.isTree(box.root);
      group = (await this.groups?.make({ ...LIMITS, ...box.limits })) ?? null;
      const place = [...(group?.enter ?? []), ...starters.slice(0, -1), ...FIRST_TO_GO];
      const line = [...place, bwrap, '--args', `${pipe + 3}`, '--', ...command];
      const [program = '', ...args] = line;
      const child = spawn(program, args, {
        cwd: '/',
        env: {},
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe', ...held.map(({ handle }) => handle.fd), ...Array<'pipe'>(5).fill('pipe')],
      });
      for (const [index, content] of told.entries()) {
        const stream = child.stdio.at(pipe + index);
        if (stream && 'end' in stream) stream.on('error', () => undefined).end(content);
      }
      const running = await started(child);
      this.firsts.set(running, firstProcess(running.stdio.at(pipe + 4)));
      if (group !== null) this.keepGroup(group, running);
      this.keep(box, own, running);
      return running;
    } catch (error) {
      await group?.remove();
      throw error;
    } finally {
      for (const { handle } of held) await handle.close();
    }
  }

  private keepGroup(group: BoxGroup, child: ChildProcess): void {
    const exited = new Promise((resolve) => child.once('exit', resolve));
    const exceeded = exited.then(async () => {
      const end = await group.exceeded();
      void group.remove();
      return end;
    });
    this.endedByGroup.set(child, exceeded);
  }

  /**
   * Has `child` kept within the bounds of `box`, whose root is a task's `own` or not, from as soon as its first process is known
   * until it has ended. Nothing is waited for: what has ended before somebody listens is not heard.
   */
  private keep(box: Box, own: boolean, child: ChildProcess): void {
    const host = box.tier === 'host';
    const { memory, processes, sockets } = { ...LIMITS, ...box.limits };
    const { bytes, files } = this.config.trees;
    const bounds: BoxBounds = {
      memory,
      processes,
      sockets,
      tree: own ? { bytes: bytes * 2, entries: files * 2, growth: false } : { bytes, entries: files, growth: true },
    };
    const startedAt = host && child.pid !== undefined ? lifeOf(child.pid) : null;
    const leader = child.pid !== undefined && startedAt !== null ? { pid: child.pid, startedAt } : null;
    const kept = Promise.resolve(host ? leader : this.firsts.get(child)).then((first) => {
      if (!first || child.exitCode !== null || child.signalCode !== null) return null;
      const watched = this.keeper.keep({ first, host, root: box.root, bounds }, () => killGroup(child));
      child.once('exit', () => watched.release());
      return watched;
    });
    this.kept.set(child, kept);
  }

  /** Whether a root is the tree of a task, below the data folder. */
  private async isTree(root: string): Promise<boolean> {
    const trees = join(await realpath(this.config.dataDir).catch(() => this.config.dataDir), 'trees');
    return (await realpath(root).catch(() => root)).startsWith(trees + sep);
  }

  /**
   * The root, and over it those parts of a `.git` that commands may not write: the owner's git must not come to run what a
   * model wrote there. What is missing needs no cover, and what is a link cannot have one.
   */
  private async openMounts(box: Box): Promise<[OpenMount, ...OpenMount[]]> {
    let root: FileHandle;
    try {
      root = await open(box.root, constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (error) {
      throw new SandboxRefusedError('The workspace does not exist.', { cause: error });
    }
    const mounts: [OpenMount, ...OpenMount[]] = [{ handle: root, at: '/workspace', readOnly: false }];
    try {
      if (box.network) {
        mounts.push({ handle: await this.openEgress(), at: EGRESS_SOCKET, readOnly: true });
        mounts.push({ handle: await open(process.execPath, 'r'), at: BOX_NODE, readOnly: true });
      }
      await this.coverGit(box, root, mounts);
      return mounts;
    } catch (error) {
      for (const { handle } of mounts) await handle.close();
      throw error;
    }
  }

  private async openEgress(): Promise<FileHandle> {
    try {
      return await this.egress.open();
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
      throw new SandboxRefusedError(`The network of the sandbox cannot be started (${code}).`, { cause: error });
    }
  }

  private async coverGit(box: Box, root: FileHandle, mounts: [OpenMount, ...OpenMount[]]): Promise<void> {
    if (await this.isTree(box.root)) return;
    if (box.git === 'settings') mounts[0].readOnly = true;
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const below = (base: FileHandle, name: string): Promise<FileHandle | null> =>
      open(`/proc/self/fd/${base.fd}/${name}`, flags).catch(() => null);
    const git = await below(root, '.git');
    if (git === null) return;
    const onlySettings = box.git === 'settings' && (await git.stat()).isDirectory();
    mounts.push({ handle: git, at: '/workspace/.git', readOnly: !onlySettings });
    if (!onlySettings) return;
    for (const name of GIT_SETTINGS) {
      const handle = await below(git, name);
      if (handle !== null) mounts.push({ handle, at: `/workspace/.git/${name}`, readOnly: true });
    }
  }

  private async startOnHost(box: Box): Promise<ChildProcess> {
    if (this.config.sandbox !== 'host') {
      throw new SandboxRefusedError(
        'The sandbox tier "host" is not allowed here: the service was not started with it.',
      );
    }
    this.logger.warn(`Running a command UNCONFINED on the host, in ${box.root}.`);
    const own = await this.isTree(box.root);
    const [nice, ...place] = [...LAST_TO_RUN, ...FIRST_TO_GO];
    const child = spawn(nice, [...place, '/usr/bin/setpriv', '--pdeathsig=KILL', '--', ...box.command], {
      cwd: join(box.root, ...(box.folder ?? [])),
      env: { ...ENVIRONMENT, ...box.environment },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    await started(child);
    this.keep(box, own, child);
    return child;
  }

  /** Tries a box that attacks its walls. */
  private async probe(): Promise<SandboxState> {
    if (process.platform !== 'linux') return { enforced: false, reason: 'this is not Linux' };
    if (this.filter === null) return { enforced: false, reason: `there is no seccomp filter for ${process.arch}` };
    const [program, ...before] = this.bubblewrap;
    if (program === undefined) return { enforced: false, reason: 'bubblewrap is not installed' };
    let root: string | undefined;
    try {
      root = await temporaryFolder('probe', this.config.dataDir);
      await chmod(root, 0o755);
      const help = await execa(program, [...before, '--help'], { env: {}, extendEnv: false, timeout: 5_000 });
      if (!help.stdout.includes('--bind-fd')) {
        return { enforced: false, reason: 'bubblewrap is too old to bind by descriptor' };
      }
      const child = await this.startInBox(
        { tier: 'workspace', network: false, root, command: ['/bin/sh', '-c', ATTACK] },
        20,
      );
      void this.tellMeasured(child, root);
      const result = await attend(child, this.firsts.get(child), {
        timeoutMs: 15_000,
        signal: new AbortController().signal,
      });
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
      if (root !== undefined) await rm(root, { recursive: true, force: true }).catch(() => undefined);
    }
  }

  /** Tells the box in `root` that what it takes can be measured, as soon as that was done. */
  private async tellMeasured(child: ChildProcess, root: string): Promise<void> {
    const kept = await this.kept.get(child);
    while (kept && child.exitCode === null && child.signalCode === null) {
      if (kept.measured > 0) return writeFile(join(root, MEASURED), '').catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** `child` once it runs. @throws SandboxRefusedError when it cannot be started. */
async function started(child: ChildProcess): Promise<ChildProcess> {
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) =>
      reject(new SandboxRefusedError('The command could not be started.', { cause: error })),
    );
  });
  child.on('error', () => undefined);
  return child;
}
