import { closeSync, readdirSync, readFileSync } from 'node:fs';

const O_CLOEXEC = 0o2000000;

/**
 * Closes the descriptors above 2 that whoever started this process left open in it and every child would inherit: a way
 * round every boundary. Node opens its own so that no child has them, and marks only the lowest of those it was given.
 * `'ignore'` at a descriptor's place in `stdio` does not close it.
 */
export function closeInheritedDescriptors(): void {
  if (process.platform !== 'linux') return;
  for (const name of readdirSync('/proc/self/fdinfo')) {
    if (Number(name) > 2 && isInheritable(name)) closeSync(Number(name));
  }
}

function isInheritable(descriptor: string): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1] ?? '0';
    return (parseInt(flags, 8) & O_CLOEXEC) === 0;
  } catch {
    // The descriptor with which the folder itself was read.
    return false;
  }
}
