import { readdirSync, readFileSync } from 'node:fs';

const O_CLOEXEC = 0o2000000;

/**
 * Descriptors above 2 that whoever started the service left open, and that every child would inherit: Node opens its own
 * so that they are not. An open folder among them would be a way out of any box.
 */
export function inheritedDescriptors(): number[] {
  const found: number[] = [];
  for (const name of readdirSync('/proc/self/fdinfo')) {
    try {
      const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'utf8'))?.[1] ?? '0';
      if (Number(name) > 2 && (parseInt(flags, 8) & O_CLOEXEC) === 0) found.push(Number(name));
    } catch {
      // The descriptor with which the folder itself was read.
    }
  }
  return found;
}

/** `stdio` for a child, with nothing at the place of each inherited descriptor. */
export function withoutInherited<T>(stdio: readonly T[], inherited: readonly number[]): (T | 'ignore')[] {
  return Array.from(
    { length: Math.max(stdio.length, ...inherited.map((fd) => fd + 1)) },
    (_, fd) => stdio[fd] ?? 'ignore',
  );
}
