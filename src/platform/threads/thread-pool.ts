import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';

const IDLE_MS = 30_000;
const MOST_THREADS = 4;
/** Of one thread's heap; one that needs more ends alone, and its job fails. */
const MOST_HEAP_MB = 512;

/**
 * Threads for work of the CPU whose size others decide, so that the event loop does not do it; started when there is work, kept for
 * a while. `module` is the URL of a module beside the calling one, `from`, that exports the jobs by name.
 */
export class ThreadPool<Jobs extends Record<keyof Jobs, (order: never) => unknown>> {
  private readonly filename: string;
  private pool: Piscina | undefined;

  constructor(from: string, module: string) {
    // The compiled one: threads run no TypeScript, as tests do in the sources.
    this.filename = from.replace(/\/src\/(?=(modules|platform)\/)/, '/dist/').replace(/[^/]*$/, module);
  }

  /**
   * Runs one job in another thread.
   * @throws what the job does; what loading the module does; `signal.reason` when it aborts, then the thread stops where it is.
   */
  async run<Name extends keyof Jobs & string>(
    name: Name,
    order: Parameters<Jobs[Name]>[0],
    signal?: AbortSignal,
  ): Promise<Awaited<ReturnType<Jobs[Name]>>> {
    signal?.throwIfAborted();
    const threads = (this.pool ??= this.started());
    let fail: (error: unknown) => void = () => undefined;
    try {
      return await new Promise((resolve, reject) => {
        threads.on('error', (fail = reject));
        threads.run(order, { name, signal: signal ?? null }).then(resolve, reject);
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      threads.off('error', fail);
    }
  }

  private started(): Piscina {
    const threads = new Piscina({
      filename: this.filename,
      minThreads: 0,
      maxThreads: Math.min(MOST_THREADS, availableParallelism()),
      idleTimeout: IDLE_MS,
      execArgv: [],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP_MB },
    });
    threads.setMaxListeners(0);
    // A thread without a job failed: it cannot load the module, and no other would be started. The next job begins anew.
    threads.on('error', () => {
      if (this.pool !== threads) return;
      this.pool = undefined;
      setImmediate(() => void threads.destroy().catch(() => undefined));
    });
    return threads;
  }
}
