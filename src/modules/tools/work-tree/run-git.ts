import { homeOr, spawnSync } from '../../../platform/processes/index.js';
import { errorCode } from '../boundary/path-refused.js';

/** How a call of git ended: what it said, or why that is not known. */
export type GitAnswer = { output: string } | { problem: string; timedOut: boolean };

/** Where a user without a home keeps nothing. */
export const NO_HOME = '/nonexistent';

const MOST_OUTPUT = 64 * 1024 * 1024;
const MOST_WORDS = 300;

/** Nothing of what a repository configures runs, and nothing is fetched. */
const SAFE = ['core.fsmonitor=false', 'core.hooksPath=/dev/null', 'protocol.allow=never'];

/** Words of git that change nothing in a list of files: what it cannot enter is in none. */
const HARMLESS = /^warning: could not open directory /;

/**
 * Runs git in a worker thread and waits for it. Anything on its standard error is a problem, also when it ends well: a rule
 * that it could not read is one that it did not apply.
 */
export function runGit(
  args: readonly string[],
  {
    cwd,
    environment = {},
    input,
    timeoutMs,
  }: { cwd: string; environment?: Record<string, string | undefined>; input?: string; timeoutMs: number },
): GitAnswer {
  const { stdout, stderr, status, error } = spawnSync('git', [...SAFE.flatMap((set) => ['-c', set]), ...args], {
    cwd,
    env: {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      LANG: 'C.UTF-8',
      LC_ALL: 'C.UTF-8',
      HOME: homeOr(NO_HOME),
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_ATTR_NOSYSTEM: '1',
      GIT_OPTIONAL_LOCKS: '0',
      GIT_NO_LAZY_FETCH: '1',
      GIT_TERMINAL_PROMPT: '0',
      ...environment,
    },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    ...(input !== undefined && { input }),
    encoding: 'utf8',
    maxBuffer: MOST_OUTPUT,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const said = (stderr ?? '')
    .split('\n')
    .filter((line) => line !== '' && !HARMLESS.test(line))
    .join(' ')
    .slice(0, MOST_WORDS);
  const code = errorCode(error);
  if (code === 'ENOENT') return { problem: 'git could not be started; is it installed?', timedOut: false };
  if (code === 'ETIMEDOUT') return { problem: `git did not answer within ${timeoutMs / 1000} s`, timedOut: true };
  if (code === 'ENOBUFS') return { problem: 'git lists more than 64 MiB of names', timedOut: false };
  if (error !== undefined) return { problem: `git could not be run (${code ?? error.message})`, timedOut: false };
  if (status !== 0 || said !== '') return { problem: `git says: ${said === '' ? 'nothing' : said}`, timedOut: false };
  return { output: stdout };
}
