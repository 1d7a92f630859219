import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseEnv } from 'node:util';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
const START_DEADLINE_MS = 60_000;

/** What a program needs of its surroundings, and what says how models are reached; all else is of somebody's own service. */
const TAKEN =
  /^(?:PATH|HOME|TMPDIR|NODE_(?!ENV$)\w+|SSL_CERT_\w+|(?:LLM|OPENAI|ANTHROPIC|OLLAMA|GOOGLE|MISTRAL|GROQ|MODEL)_\w+|(?:HTTPS?|NO)_PROXY(?:_FILE)?)$/i;

/** Of the shell and of a `.env` here: what the demo's service may know. */
function surroundings(): Record<string, string> {
  const file = existsSync('.env') ? parseEnv(readFileSync('.env', 'utf8')) : {};
  const taken = Object.entries({ ...file, ...process.env }).filter(([name]) => TAKEN.test(name));
  // The service runs in another folder.
  return Object.fromEntries(
    taken.map(([name, value = '']) => [name, name.endsWith('_FILE') && value !== '' ? resolve(value) : value]),
  );
}

/** The service as a process of its own, the way anybody runs it. */
export class ServiceProcess {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  /**
   * Starts it in `folder`, where no `.env` is, with `env` and with what this process's environment says of models; resolves when
   * it is ready for work.
   */
  static async start(folder: string, env: Record<string, string>): Promise<ServiceProcess> {
    const child = spawn(process.execPath, ['--enable-source-maps', MAIN], {
      cwd: folder,
      env: { ...surroundings(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    const url = await new Promise<string>((resolve, reject) => {
      const read = (line: string): void => {
        said.push(line);
        const found = /"url":"(http[^"]+)"/.exec(line)?.[1];
        if (found !== undefined) resolve(found);
      };
      createInterface({ input: child.stdout }).on('line', read);
      createInterface({ input: child.stderr }).on('line', read);
      child.once('exit', (code) => reject(new Error(`The service ended with ${code}:\n${said.join('\n')}`)));
    });
    const service = new ServiceProcess(child, url);
    await service.untilReady(said);
    return service;
  }

  /** Asks it to stop and waits until it has. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    await ended;
  }

  private async untilReady(said: readonly string[]): Promise<void> {
    const deadline = Date.now() + START_DEADLINE_MS;
    for (;;) {
      const answer = await fetch(`${this.url}/health/ready`).catch(() => null);
      if (answer?.status === 200) return;
      if (Date.now() > deadline) {
        await this.stop();
        throw new Error(`The service did not become ready:\n${said.slice(-20).join('\n')}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
