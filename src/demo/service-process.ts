import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { settingNames } from '../config/index.js';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
const START_DEADLINE_MS = 60_000;

/** Of the settings in the shell or in a `.env`, those that say how models are reached; the others are of somebody's own service. */
const OF_MODELS = /^(?:(?:LLM|OPENAI|ANTHROPIC|OLLAMA|GOOGLE|MISTRAL|GROQ|MODEL)_|(?:HTTPS?|NO)_PROXY)/;

/** This process's environment without the settings of a service: an empty one is an absent one, and wins over a `.env`. */
function surroundings(): NodeJS.ProcessEnv {
  const foreign = settingNames().filter((name) => !OF_MODELS.test(name));
  return { ...process.env, ...Object.fromEntries(foreign.map((name) => [name, ''])) };
}

/** The service as a process of its own, the way anybody runs it. */
export class ServiceProcess {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  /** Starts it with `env` and with what this process's environment says of models; resolves when it is ready for work. */
  static async start(env: Record<string, string>): Promise<ServiceProcess> {
    const child = spawn(process.execPath, ['--enable-source-maps', MAIN], {
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
