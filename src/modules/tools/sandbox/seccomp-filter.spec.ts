import { describe, expect, it } from '@jest/globals';
import { seccompFilter } from './seccomp-filter.js';

/** Runs a filter as the kernel does. */
function decide(filter: Buffer, call: { arch: number; number: number; arguments?: number[] }): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call.number, 0);
  data.writeUInt32LE(call.arch >>> 0, 4);
  for (const [index, value] of (call.arguments ?? []).entries()) {
    data.writeUInt32LE(value >>> 0, 16 + index * 8);
    data.writeUInt32LE(Math.floor(value / 2 ** 32) >>> 0, 20 + index * 8);
  }
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const [code, ifTrue, ifFalse, k] = [
      filter.readUInt16LE(at * 8),
      filter.readUInt8(at * 8 + 2),
      filter.readUInt8(at * 8 + 3),
      filter.readUInt32LE(at * 8 + 4),
    ];
    const jump = (holds: boolean): number => (holds ? ifTrue : ifFalse);
    if (code === 0x06) return k;
    if (code === 0x20) accumulator = data.readUInt32LE(k);
    else if (code === 0x15) at += jump(accumulator === k);
    else if (code === 0x35) at += jump(accumulator >= k);
    else if (code === 0x45) at += jump((accumulator & k) !== 0);
    else throw new Error(`instruction ${code}`);
  }
}

const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const errno = (number: number): number => 0x50000 + number;

describe.each([
  {
    name: 'x64' as const,
    arch: 0xc000003e,
    calls: { read: 0, unshare: 272, clone: 56, clone3: 435, socket: 41, ioctl: 16 },
    // The number of a call and the place of its mode; calls that open have their flags before it.
    modes: { creat: [85, 1], chmod: [90, 1], fchmod: [91, 1], mknod: [133, 1], mknodat: [259, 2], fchmodat: [268, 2] },
    opens: { open: [2, 2], openat: [257, 3] },
    hidden: { memfd: 319, shm: 29, sem: 64, queue: 68 },
  },
  {
    name: 'arm64' as const,
    arch: 0xc00000b7,
    calls: { read: 63, unshare: 97, clone: 220, clone3: 435, socket: 198, ioctl: 29 },
    modes: { mknodat: [33, 2], fchmod: [52, 1], fchmodat: [53, 2] },
    opens: { openat: [56, 3] },
    hidden: { memfd: 279, shm: 194, sem: 190, queue: 186 },
  },
])('the filter for $name', ({ name, arch, calls, modes, opens, hidden }) => {
  const { read, unshare, clone, clone3, socket, ioctl } = calls;
  const filter = seccompFilter(name) ?? Buffer.alloc(0);
  const on = (number: number, ...args: number[]): number => decide(filter, { arch, number, arguments: args });

  it('lets ordinary calls through, and none of another architecture', () => {
    expect(on(read)).toBe(ALLOW);
    expect(on(ioctl, 0, 0x5401)).toBe(ALLOW);
    expect(decide(filter, { arch: 0x40000003, number: read })).toBe(KILL);
    expect(on(0x40000000 + read)).toBe(errno(38));
  });

  it('forbids namespaces, however they are asked for', () => {
    expect(on(unshare, 0x10000000)).toBe(errno(1));
    expect(on(clone3)).toBe(errno(38));
    for (const flag of [0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]) {
      expect(on(clone, flag | 17)).toBe(errno(1));
    }
    // Threads, fork and vfork.
    for (const flags of [0x3d0f00, 17, 0x4111, 0x1200011]) expect(on(clone, flags)).toBe(ALLOW);
  });

  it('limits sockets to those that the network namespace holds', () => {
    for (const family of [1, 2, 10, 16]) expect(on(socket, family)).toBe(ALLOW);
    for (const family of [0, 3, 15, 17, 38, 40, 44]) expect(on(socket, family)).toBe(errno(97));
  });

  it('forbids pushing input to a terminal', () => {
    for (const request of [0x5412, 0x541c]) expect(on(ioctl, 0, request)).toBe(errno(1));
  });

  it('lets no file have a set-id bit', () => {
    const others = 0xffffffff;
    for (const [number = 0, mode = 0] of [...Object.values(modes), [452, 2]]) {
      const made = (bits: number): number => on(number, ...Array<number>(mode).fill(others), bits, others);
      for (const bits of [0o4755, 0o2755, 0o6000, 0o104755]) expect([number, made(bits)]).toEqual([number, errno(1)]);
      for (const bits of [0, 0o777, 0o1777, 0o100644]) expect([number, made(bits)]).toEqual([number, ALLOW]);
    }
    // The mode of openat2 is in memory.
    expect(on(437)).toBe(errno(38));
  });

  it('looks at the mode of an open call when it makes a file, and only then', () => {
    for (const [number = 0, mode = 0] of Object.values(opens)) {
      const open = (flags: number, bits: number): number =>
        on(number, ...Array<number>(mode - 1).fill(0xffffffff), flags, bits);
      for (const flags of [0o101, 0o20200002]) {
        for (const bits of [0o4755, 0o2644]) expect([number, open(flags, bits)]).toEqual([number, errno(1)]);
        for (const bits of [0, 0o666, 0o1777]) expect([number, open(flags, bits)]).toEqual([number, ALLOW]);
      }
      // Without, the argument is whatever the register held.
      for (const flags of [0, 0o2, 0o200000]) expect([number, open(flags, 0xffffffff)]).toEqual([number, ALLOW]);
    }
  });

  it('gives no memory that a look at processes does not find, but for what is small in all', () => {
    for (const number of [hidden.memfd, hidden.queue]) expect(on(number)).toBe(errno(38));
    expect(on(447)).toBe(errno(1));
    const segment = (bytes: number): number => on(hidden.shm, 0, bytes, 0o600);
    for (const bytes of [1, 56, 65_536]) expect(segment(bytes)).toBe(ALLOW);
    for (const bytes of [65_537, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 40]) expect(segment(bytes)).toBe(errno(22));
    for (const count of [0, 17, 32]) expect(on(hidden.sem, 0, count, 0o600)).toBe(ALLOW);
    for (const count of [33, 32_000, 2 ** 31]) expect(on(hidden.sem, 0, count, 0o600)).toBe(errno(22));
  });

  it('ends in a decision for every call', () => {
    for (let number = 0; number < 600; number++) expect([ALLOW, errno(1), errno(38), errno(97)]).toContain(on(number));
  });
});

it('knows no other architecture', () => {
  expect(seccompFilter('riscv64')).toBeNull();
});
