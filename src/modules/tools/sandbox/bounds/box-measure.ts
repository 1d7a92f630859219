import { readFileSync, readdirSync, readlinkSync, statfsSync, statSync } from 'node:fs';

/** What a box takes at one moment, all of its processes together. */
export interface Taken {
  /** Bytes: private, shared and swapped memory, page tables, memory file systems, buffers of connections. */
  memory: number;
  /** Threads, as the kernel counts them against a user's limit. */
  processes: number;
  sockets: number;
  /** Bytes that its processes made dirty on disks. */
  written: number;
}

/** A process of a box, as far as its memory goes; bytes. */
interface Status {
  pid: string;
  anonymous: number;
  shared: number;
  others: number;
  /** Mapped in all, less what is private and writable and less code: no shared memory is larger. */
  mappable: number;
}

const KIB = 1024;
const PAGE = 4096;
/** The kernel's memory for a file that has no content. */
const INODE = KIB;
/** Memory file systems of a box, below its root. */
const MEMORY_FOLDERS = ['tmp', 'dev/shm'];
/** Memory that processes share and no file system holds, as a map names it. */
const SHARED =
  /^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ (\d+)\s+\/(?:dev\/zero|memfd:.*|SYSV[0-9a-f]*)(?: \(deleted\))?$/gm;

/**
 * What the box whose first process is `first` takes; null while it is being set up, and when it has ended. Read through
 * the box's own `/proc`, which lists its processes and no other. Cheap where it is far from `bounds.memory`; near it shared
 * memory is counted once, by its size and not by who has touched it, and what forked processes share once.
 */
export function measure(first: number, bounds: { memory: number; processes: number }): Taken | null {
  const root = `/proc/${first}/root`;
  const proc = `${root}/proc`;
  let pids: string[];
  try {
    if (isOurs(proc)) return null;
    pids = readdirSync(proc).filter((name) => /^\d+$/.test(name));
  } catch {
    return null;
  }
  // What is over this bound is ended, however much it holds: a look must be short while everything competes for the processor.
  if (pids.length > bounds.processes) return { memory: 0, processes: pids.length, sockets: 0, written: 0 };
  const statuses: Status[] = [];
  let processes = 0;
  let written = 0;
  for (const pid of pids) {
    const status = text(`${proc}/${pid}/status`);
    const threads = field(status, 'Threads');
    processes += threads;
    if (processes > bounds.processes) return { memory: 0, processes, sockets: 0, written };
    const data = field(status, 'VmData');
    statuses.push({
      pid,
      anonymous: field(status, 'RssAnon') * KIB,
      shared: field(status, 'RssShmem') * KIB,
      others: (field(status, 'VmSwap') + field(status, 'VmPTE')) * KIB,
      mappable:
        Math.max(
          0,
          field(status, 'VmSize') - data - field(status, 'VmStk') - field(status, 'VmExe') - field(status, 'VmLib'),
        ) * KIB,
    });
    const io = text(`${proc}/${pid}/io`);
    written += Math.max(0, field(io, 'write_bytes') - field(io, 'cancelled_write_bytes'));
  }
  const sockstat = text(`/proc/${first}/net/sockstat`);
  const buffers = [...sockstat.matchAll(/^(?:TCP|UDP):.* mem (\d+)/gm)].reduce(
    (all, [, n]) => all + Number(n) * PAGE,
    0,
  );
  const held = MEMORY_FOLDERS.reduce((all, folder) => all + heldBy(`${root}/${folder}`), buffers);
  const most = statuses.reduce(
    (all, one) => all + one.anonymous + one.others + Math.max(one.shared, one.mappable),
    held,
  );
  const memory = most <= bounds.memory ? most : exact(proc, statuses, held, bounds.memory);
  return { memory, processes, sockets: Number(/^sockets: used (\d+)/m.exec(sockstat)?.[1] ?? 0), written };
}

/** Whether a `/proc` is the service's own, as in a box that still stands in the host's root. */
function isOurs(proc: string): boolean {
  try {
    readlinkSync(`${proc}/self`);
    return true;
  } catch {
    return false;
  }
}

function exact(proc: string, statuses: readonly Status[], held: number, limit: number): number {
  const objects = new Map<string, number>();
  for (const { pid, mappable } of statuses) {
    if (mappable > 0) addShared(`${proc}/${pid}`, objects);
  }
  let total = held;
  for (const size of objects.values()) total += size;
  total += statuses.reduce((all, one) => all + one.others, 0);
  const anonymous = statuses.reduce((all, one) => all + one.anonymous, 0);
  if (total + anonymous <= limit) return total + anonymous;
  // Pages that a fork shares with its parent are counted in both, but for this costlier look.
  return total + statuses.reduce((all, one) => all + privatePart(`${proc}/${one.pid}`, one.anonymous), 0);
}

/** Adds the shared memory that a process maps, by its number: its real size where that can be asked for, else what is mapped. */
function addShared(process: string, objects: Map<string, number>): void {
  for (const [, from, to, offset, inode] of text(`${process}/maps`).matchAll(SHARED)) {
    if (from === undefined || to === undefined || offset === undefined || inode === undefined) continue;
    const key = inode;
    const known = objects.get(key) ?? 0;
    try {
      objects.set(key, statSync(`${process}/map_files/${from}-${to}`).blocks * 512);
    } catch {
      const end = parseInt(to, 16) - parseInt(from, 16) + parseInt(offset, 16);
      objects.set(key, Math.max(known, end));
    }
  }
}

function privatePart(process: string, resident: number): number {
  const rollup = text(`${process}/smaps_rollup`);
  return /^Pss_Anon:/m.test(rollup) ? field(rollup, 'Pss_Anon') * KIB : resident;
}

function heldBy(folder: string): number {
  try {
    const { bsize, blocks, bfree, files, ffree } = statfsSync(folder);
    return (blocks - bfree) * bsize + Math.max(0, files - ffree) * INODE;
  } catch {
    return 0;
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It ended meanwhile.
    return '';
  }
}

/** A number of a file of `name: number` lines; 0 where there is none. */
function field(content: string, name: string): number {
  const at = content.startsWith(`${name}:`) ? 0 : content.indexOf(`\n${name}:`) + 1;
  if (at === 0 && !content.startsWith(`${name}:`)) return 0;
  return Number.parseInt(content.slice(at + name.length + 1), 10) || 0;
}
