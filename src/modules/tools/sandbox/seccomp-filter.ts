/** Numbers of one architecture, from the kernel's headers. */
interface Architecture {
  /** AUDIT_ARCH_*. */
  audit: number;
  clone: number;
  clone3: number;
  socket: number;
  ioctl: number;
  /** Calls that give files a mode. */
  modes: readonly ModeCall[];
  /** Memory that only a descriptor or a number holds: no look at processes finds it. */
  hidden: { memfd: number; shm: number; sem: number; queue: number };
  /** What no tool needs and kernels have had holes in: namespaces, mounts, tracing, keys, bpf, io_uring, modules, clocks. */
  denied: readonly number[];
}

/** A call's number, and which of its arguments are the mode and, where they decide whether there is one, the flags. */
interface ModeCall {
  call: number;
  mode: number;
  flags?: number;
}

/** The same on every architecture since the numbers were unified. */
const OPENAT2 = 437;
const FCHMODAT2: ModeCall = { call: 452, mode: 2 };
const DENIED_EVERYWHERE = [425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 443, 447];

const ARCHITECTURES: Partial<Record<NodeJS.Architecture, Architecture>> = {
  x64: {
    audit: 0xc000003e,
    clone: 56,
    clone3: 435,
    socket: 41,
    ioctl: 16,
    // open, creat, chmod, fchmod, mknod, openat, mknodat, fchmodat
    modes: [
      { call: 2, mode: 2, flags: 1 },
      { call: 85, mode: 1 },
      { call: 90, mode: 1 },
      { call: 91, mode: 1 },
      { call: 133, mode: 1 },
      { call: 257, mode: 3, flags: 2 },
      { call: 259, mode: 2 },
      { call: 268, mode: 2 },
      FCHMODAT2,
    ],
    hidden: { memfd: 319, shm: 29, sem: 64, queue: 68 },
    denied: [
      101, 103, 134, 153, 154, 155, 159, 161, 163, 164, 165, 166, 167, 168, 169, 172, 173, 175, 176, 179, 180, 212, 227,
      246, 248, 249, 250, 256, 272, 279, 298, 300, 303, 304, 305, 308, 310, 311, 312, 313, 320, 321, 323,
    ],
  },
  arm64: {
    audit: 0xc00000b7,
    clone: 220,
    clone3: 435,
    socket: 198,
    ioctl: 29,
    // openat, mknodat, fchmod, fchmodat
    modes: [
      { call: 56, mode: 3, flags: 2 },
      { call: 33, mode: 2 },
      { call: 52, mode: 1 },
      { call: 53, mode: 2 },
      FCHMODAT2,
    ],
    hidden: { memfd: 279, shm: 194, sem: 190, queue: 186 },
    denied: [
      18, 39, 40, 41, 42, 51, 58, 60, 89, 97, 104, 105, 106, 112, 116, 117, 142, 170, 171, 217, 218, 219, 224, 225, 238,
      239, 241, 262, 264, 265, 266, 268, 270, 271, 272, 273, 280, 282, 294,
    ],
  },
};

const LOAD = 0x20;
const IF_EQUAL = 0x15;
const IF_AT_LEAST = 0x35;
const IF_ANY_BIT = 0x45;
const RETURN = 0x06;

const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const fail = (errno: number): number => 0x00050000 | errno;
const [EPERM, EINVAL, ENOSYS, EAFNOSUPPORT] = [1, 22, 38, 97];

/** Offsets in `struct seccomp_data`. */
const [NUMBER, ARCH] = [0, 4];
/** Of the lower half of an argument, which holds all that a filter here asks for. */
const argument = (index: number): number => 16 + 8 * index;

const X32_BIT = 0x40000000;
const NEW_NAMESPACES = 0x7e020000;
const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [1, 2, 10, 16];
const [TIOCSTI, TIOCLINUX] = [0x5412, 0x541c];
/** O_CREAT and what is particular to O_TMPFILE. */
const MAKES_A_FILE = 0o100 | 0o20000000;
/** S_ISUID and S_ISGID. */
const SET_ID = 0o6000;
/** Of one segment of System V, of which a namespace has 4,096, and semaphores of one set, of which it has 32,000. */
const [MOST_SHM_BYTES, MOST_SEMAPHORES] = [64 * 1024, 32];

/** As `struct sock_filter`: jumps count the instructions to skip. */
type Instruction = [code: number, ifTrue: number, ifFalse: number, k: number];

/** `then` for the system call `number`; it ends in a return on every way. */
function onCall(number: number, then: Instruction[]): Instruction[] {
  return [[IF_EQUAL, 0, then.length, number], ...then];
}

/** Keeps set-id bits out: on the host, whoever runs a file of the workspace would run it as the file's owner. */
function withoutSetId({ call, mode, flags }: ModeCall): Instruction[] {
  const ifItMakesOne: Instruction[] =
    flags === undefined
      ? []
      : [
          [LOAD, 0, 0, argument(flags)],
          [IF_ANY_BIT, 1, 0, MAKES_A_FILE],
          [RETURN, 0, 0, ALLOW],
        ];
  return onCall(call, [
    ...ifItMakesOne,
    [LOAD, 0, 0, argument(mode)],
    [IF_ANY_BIT, 0, 1, SET_ID],
    [RETURN, 0, 0, fail(EPERM)],
    [RETURN, 0, 0, ALLOW],
  ]);
}

/** Allows `number` with an argument of at most `most`, whose upper half decides too where it is `wide`. */
function upTo(number: number, index: number, most: number, wide: boolean): Instruction[] {
  const upper: Instruction[] = [
    [LOAD, 0, 0, argument(index) + 4],
    [IF_EQUAL, 0, 3, 0],
  ];
  return onCall(number, [
    ...(wide ? upper : []),
    [LOAD, 0, 0, argument(index)],
    [IF_AT_LEAST, 1, 0, most + 1],
    [RETURN, 0, 0, ALLOW],
    [RETURN, 0, 0, fail(EINVAL)],
  ]);
}

/**
 * A seccomp filter for sandboxed commands, as the kernel takes it (an array of `struct sock_filter`): what is left of the
 * kernel's surface once namespaces have hidden the rest. Sockets are limited to the kinds that the network namespace
 * holds; vsock, for one, is not. Null where the architecture's numbers are not known.
 */
export function seccompFilter(architecture: NodeJS.Architecture = process.arch): Buffer | null {
  const arch = ARCHITECTURES[architecture];
  if (arch === undefined) return null;
  const program: Instruction[] = [
    [LOAD, 0, 0, ARCH],
    [IF_EQUAL, 1, 0, arch.audit],
    [RETURN, 0, 0, KILL],
    [LOAD, 0, 0, NUMBER],
    [IF_AT_LEAST, 0, 1, X32_BIT],
    [RETURN, 0, 0, fail(ENOSYS)],
    ...arch.modes.flatMap(withoutSetId),
    // The flags of clone3 and the mode of openat2 are in memory, where no filter sees them; libraries then use the older calls.
    ...[arch.clone3, OPENAT2].flatMap((number) => onCall(number, [[RETURN, 0, 0, fail(ENOSYS)]])),
    ...[...arch.denied, ...DENIED_EVERYWHERE].flatMap((number) => onCall(number, [[RETURN, 0, 0, fail(EPERM)]])),
    // Libraries then use files of /dev/shm, which are measured.
    ...[arch.hidden.memfd, arch.hidden.queue].flatMap((number) => onCall(number, [[RETURN, 0, 0, fail(ENOSYS)]])),
    ...upTo(arch.hidden.shm, 1, MOST_SHM_BYTES, true),
    ...upTo(arch.hidden.sem, 1, MOST_SEMAPHORES, false),
    ...onCall(arch.clone, [
      [LOAD, 0, 0, argument(0)],
      [IF_ANY_BIT, 0, 1, NEW_NAMESPACES],
      [RETURN, 0, 0, fail(EPERM)],
      [RETURN, 0, 0, ALLOW],
    ]),
    ...onCall(arch.ioctl, [
      [LOAD, 0, 0, argument(1)],
      [IF_EQUAL, 1, 0, TIOCSTI],
      [IF_EQUAL, 0, 1, TIOCLINUX],
      [RETURN, 0, 0, fail(EPERM)],
      [RETURN, 0, 0, ALLOW],
    ]),
    ...onCall(arch.socket, [
      [LOAD, 0, 0, argument(0)],
      ...[AF_UNIX, AF_INET, AF_INET6, AF_NETLINK].flatMap((family): Instruction[] => [
        [IF_EQUAL, 0, 1, family],
        [RETURN, 0, 0, ALLOW],
      ]),
      [RETURN, 0, 0, fail(EAFNOSUPPORT)],
    ]),
    [RETURN, 0, 0, ALLOW],
  ];
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [code, ifTrue, ifFalse, k]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(k >>> 0, index * 8 + 4);
  }
  return bytes;
}
