import { createConnection } from 'node:net';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { startService, type Service, type Settings } from '../../test/support/service.js';
import type { TestPostgres, TestRedis } from '../../test/support/servers/index.js';

export type Fault = 'kill' | 'pause' | 'terminate' | 'flush' | 'redis' | 'postgres';

/** How often each fault comes, of a hundred. */
const WEIGHTS: Readonly<Record<Fault, number>> = {
  kill: 52,
  pause: 17,
  terminate: 8,
  flush: 12,
  redis: 8,
  postgres: 3,
};

/** Milliseconds between two faults. */
const BETWEEN_MS = 400;

/** Workers that come and go, and whatever befalls them. */
export class Faults {
  readonly counts: Record<Fault, number> = { kill: 0, pause: 0, terminate: 0, flush: 0, redis: 0, postgres: 0 };
  /** Epoch milliseconds at which paused workers woke up. */
  readonly wokenAt: number[] = [];
  private readonly workers = new Set<Service>();
  private readonly paused = new Set<Service>();
  private readonly starting = new Set<Promise<void>>();
  private readonly waking: Promise<void>[] = [];
  private readonly leaving: Promise<unknown>[] = [];

  constructor(
    private readonly servers: { postgres: TestPostgres; redis: TestRedis },
    private readonly settings: Settings,
    private readonly options: { workers: number; pauseMs: number; random: () => number },
  ) {}

  /** Starts workers until as many are there as there shall be. */
  async fill(): Promise<void> {
    while (this.workers.size + this.starting.size < this.options.workers) this.add();
    await Promise.all(this.starting);
  }

  /** One fault after the other until `signal` aborts; `only` makes all of them the same. */
  async rage(signal: AbortSignal, only?: Fault): Promise<void> {
    while (!signal.aborted) {
      await delay(BETWEEN_MS * (0.5 + this.options.random()), undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await this.strike(only ?? this.draw());
    }
  }

  /** Wakes up whoever is paused, and waits for all workers to be there. */
  async calm(): Promise<void> {
    await Promise.all(this.waking);
    await this.fill();
  }

  async end(): Promise<void> {
    await this.calm();
    await Promise.all(this.leaving);
    await Promise.all([...this.workers].map((worker) => worker.kill()));
  }

  private draw(): Fault {
    let left = this.options.random() * 100;
    for (const [fault, weight] of Object.entries(WEIGHTS)) if ((left -= weight) < 0) return fault as Fault;
    return 'kill';
  }

  private async strike(fault: Fault): Promise<void> {
    if (fault === 'flush') await this.flush();
    else if (fault === 'redis')
      await this.servers.redis.kill().then(() => this.later(() => this.servers.redis.start()));
    else if (fault === 'postgres') {
      await this.servers.postgres.halt('immediate');
      await this.later(() => this.servers.postgres.start());
    } else if (!(await this.hit(fault))) return;
    this.counts[fault] += 1;
  }

  /** Hits one worker; false while too few of them are awake. */
  private async hit(fault: 'kill' | 'pause' | 'terminate'): Promise<boolean> {
    const awake = [...this.workers].filter((worker) => !this.paused.has(worker));
    const victim = awake[Math.floor(this.options.random() * awake.length)];
    if (victim === undefined || awake.length < 2) return false;
    if (fault === 'pause') {
      this.paused.add(victim);
      victim.signal('SIGSTOP');
      this.waking.push(delay(this.options.pauseMs).then(() => this.wake(victim)));
      return true;
    }
    this.workers.delete(victim);
    if (fault === 'kill') await victim.kill();
    else this.leaving.push(victim.stop());
    this.add();
    return true;
  }

  private wake(worker: Service): void {
    this.wokenAt.push(Date.now());
    worker.signal('SIGCONT');
    this.paused.delete(worker);
  }

  private add(): void {
    const added: Promise<void> = startService(this.settings, { listening: true })
      .then((worker) => {
        this.workers.add(worker);
        void worker.exited.then(() => this.workers.delete(worker));
      })
      // A start may fall into an outage.
      .catch(() => undefined)
      .finally(() => this.starting.delete(added));
    this.starting.add(added);
  }

  private async later(start: () => Promise<void>): Promise<void> {
    await delay(this.options.random() * 2_000);
    await start();
  }

  private async flush(): Promise<void> {
    const socket = createConnection({ host: '127.0.0.1', port: this.servers.redis.port });
    socket.on('error', () => undefined);
    socket.write('FLUSHALL\r\n');
    await once(socket, 'data').catch(() => undefined);
    socket.destroy();
  }
}
