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
   * @throws what the job does; `signal.reason` when it aborts, then the thread stops where it is.
   */
  async run<Name extends keyof Jobs & string>(
    name: Name,
    order: Parameters<Jobs[Name]>[0],
    signal?: AbortSignal,
  ): Promise<Awaited<ReturnType<Jobs[Name]>>> {
    signal?.throwIfAborted();
    this.pool ??= new Piscina({
      filename: this.filename,
      minThreads: 0,
      maxThreads: Math.min(MOST_THREADS, availableParallelism()),
      idleTimeout: IDLE_MS,
      execArgv: [],
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP_MB },
    });
    try {
      return (await this.pool.run(order, { name, signal: signal ?? null })) as Awaited<ReturnType<Jobs[Name]>>;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }
}
