import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A scratch folder with a real repository in it. */
export class DemoRepository {
  private constructor(
    readonly scratch: string,
    readonly path: string,
  ) {}

  /** Copies `sample` and commits it, where git is installed. */
  static create(sample: string): DemoRepository {
    const scratch = mkdtempSync(join(tmpdir(), 'nova-demo-'));
    // Where the service is root, the account of its database passes through here; else its cluster would lie elsewhere, and stay.
    chmodSync(scratch, 0o711);
    const path = join(scratch, 'workspace');
    mkdirSync(path);
    cpSync(sample, path, { recursive: true });
    const git = (...args: string[]): void => {
      execFileSync('git', ['-c', 'user.name=demo', '-c', 'user.email=demo@example.com', ...args], {
        cwd: path,
        stdio: 'ignore',
        // Neither a repository that the shell points git to, nor the signing keys of the person who runs this.
        env: { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' },
      });
    };
    if (spawnSync('git', ['--version']).status === 0) {
      git('init', '--quiet');
      git('add', '.');
      git('commit', '--quiet', '--message', 'The shop as it is');
    }
    return new DemoRepository(scratch, path);
  }

  /** Runs the repository's own tests. */
  test(): { green: boolean; passed: number; failed: number } {
    const run = spawnSync(process.execPath, ['--test'], {
      cwd: this.path,
      encoding: 'utf8',
      env: { PATH: process.env.PATH },
    });
    const count = (name: string): number =>
      Number(new RegExp(`^(?:#|ℹ) ${name} (\\d+)`, 'm').exec(run.stdout)?.[1] ?? 0);
    return { green: run.status === 0, passed: count('pass'), failed: count('fail') };
  }

  remove(): void {
    rmSync(this.scratch, { recursive: true, force: true });
  }
}
