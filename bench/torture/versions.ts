import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

/** Versions that a run ran on, by name. */
export function versions(): [name: string, value: string][] {
  return [
    ['commit', output('git', ['describe', '--always', '--dirty', '--abbrev=10'])],
    ['Node', process.versions.node],
    ['Redis', /v=([\d.]+)/.exec(output('redis-server', ['--version']))?.[1] ?? 'unknown'],
    ['Linux', release()],
    [
      'machine',
      `${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB`,
    ],
    ['load before the run', loadavg()[0]?.toFixed(1) ?? '0'],
  ];
}

function output(program: string, args: string[]): string {
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
