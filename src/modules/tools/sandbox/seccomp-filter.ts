/** Numbers of one architecture, from the kernel's headers. */
interface Architecture {
  /** AUDIT_ARCH_*. */
  audit: number;
  clone: number;
  clone3: number;
  socket: number;
  ioctl: number;
  /** What no tool needs and kernels have had holes in: namespaces, mounts, tracing, keys, bpf, io_uring, modules, clocks. */
  denied: readonly number[];
}

/** The same on every architecture since the numbers were unified. */
const DENIED_EVERYWHERE = [425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 443];

const ARCHITECTURES: Partial<Record<NodeJS.Architecture, Architecture>> = {
  x64: {
    audit: 0xc000003e,
    clone: 56,
    clone3: 435,
    socket: 41,
    ioctl: 16,
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
const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97];

/** Offsets in `struct seccomp_data`. */
const [NUMBER, ARCH, FIRST_ARGUMENT, SECOND_ARGUMENT] = [0, 4, 16, 24];

const X32_BIT = 0x40000000;
const NEW_NAMESPACES = 0x7e020000;
const [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK] = [1, 2, 10, 16];
const [TIOCSTI, TIOCLINUX] = [0x5412, 0x541c];

/** As `struct sock_filter`: jumps count the instructions to skip. */
type Instruction = [code: number, ifTrue: number, ifFalse: number, k: number];

/** `then` for the system call `number`; it ends in a return on every way. */
function onCall(number: number, then: Instruction[]): Instruction[] {
  return [[IF_EQUAL, 0, then.length, number], ...then];
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
    // The flags of clone3 are in memory, where no filter sees them; libraries then use clone.
    ...onCall(arch.clone3, [[RETURN, 0, 0, fail(ENOSYS)]]),
    ...[...arch.denied, ...DENIED_EVERYWHERE].flatMap((number) => onCall(number, [[RETURN, 0, 0, fail(EPERM)]])),
    ...onCall(arch.clone, [
      [LOAD, 0, 0, FIRST_ARGUMENT],
      [IF_ANY_BIT, 0, 1, NEW_NAMESPACES],
      [RETURN, 0, 0, fail(EPERM)],
      [RETURN, 0, 0, ALLOW],
    ]),
    ...onCall(arch.ioctl, [
      [LOAD, 0, 0, SECOND_ARGUMENT],
      [IF_EQUAL, 1, 0, TIOCSTI],
      [IF_EQUAL, 0, 1, TIOCLINUX],
      [RETURN, 0, 0, fail(EPERM)],
      [RETURN, 0, 0, ALLOW],
    ]),
    ...onCall(arch.socket, [
      [LOAD, 0, 0, FIRST_ARGUMENT],
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
