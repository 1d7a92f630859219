import { spawnSync } from 'node:child_process';

/** Whether `program` is on the PATH; as root it is installed from the distribution's packages when it is missing. */
export function hasProgram(program: string, debianPackage: string): boolean {
  const found = (): boolean => spawnSync(program, ['--version']).status === 0;
  if (!found() && process.getuid?.() === 0) {
    // RUNLEVEL=1 keeps a package from starting a server of its own.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const install = ['install', '-y', '--no-install-recommends', debianPackage];
    if (spawnSync('apt-get', install, { env }).status !== 0) {
      spawnSync('apt-get', ['update'], { env });
      spawnSync('apt-get', install, { env });
    }
  }
  return found();
}

/** @throws Error that names what to install, where `hasProgram` is false. */
export function needProgram(program: string, debianPackage: string): string {
  if (!hasProgram(program, debianPackage)) {
    throw new Error(`The tests need the program ${program} on the PATH (Debian: apt-get install ${debianPackage}).`);
  }
  return program;
}
