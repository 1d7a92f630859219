import { createConnection } from 'node:net';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestPostgres, TestRedis } from '../../test/support/servers/index.js';
import type { Fleet } from './fleet.js';
import type { PlannedFault } from './schedule.js';
import type { RigDisk } from './small-disk.js';
import type { ModelFault, StageEndpoint } from './stage-endpoint.js';

/** How late bytes are under `delay`. */
const LATE_MS = 250;
/** How long PostgreSQL and Redis are given to come back. */
const RETRY_MS = 1_000;

/** A fault that struck, in epoch milliseconds. */
export interface StruckFault {
  kind: PlannedFault['kind'];
  worker: number;
  server: PlannedFault['server'];
  from: number;
  /** When it was over. */
  to: number;
}

/** Lets the faults of a schedule strike at their times. */
export class FaultInjector {
  readonly struck: StruckFault[] = [];
  /** Faults that found nothing to strike: no worker was up, or files were open on the disk. */
  missed = 0;
  private readonly under = new Set<Promise<void>>();
  private postgresUp = true;
  private redisUp = true;

  constructor(
    private readonly things: {
      fleet: Fleet;
      postgres: TestPostgres;
      redis: TestRedis;
      endpoint: StageEndpoint;
      disk: RigDisk;
    },
  ) {}

  /** Runs the whole schedule from now on, until it is through or `signal` aborts. Resolves when all is whole again. */
  async run(schedule: readonly PlannedFault[], signal: AbortSignal): Promise<void> {
    const begin = performance.now();
    for (const fault of schedule) {
      const waitMs = fault.atMs - (performance.now() - begin);
      if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) break;
      const work = this.strike(fault, signal);
      this.under.add(work);
      void work.finally(() => this.under.delete(work));
    }
    await Promise.all(this.under);
  }

  private async strike(fault: PlannedFault, signal: AbortSignal): Promise<void> {
    const { kind, worker, server } = fault;
    const from = Date.now();
    const record: StruckFault = { kind, worker, server, from, to: from };
    const lasting = (): Promise<void> => delay(fault.lasts, undefined, { signal }).catch(() => undefined);
    if (!(await this.hit(fault, record, lasting))) this.missed += 1;
  }

  private async hit(fault: PlannedFault, record: StruckFault, lasting: () => Promise<void>): Promise<boolean> {
    const { fleet, postgres, redis, endpoint, disk } = this.things;
    const { kind, worker, server, lasts } = fault;
    const during = async (): Promise<true> => {
      this.struck.push(record);
      await lasting();
      record.to = Date.now();
      return true;
    };
    switch (kind) {
      case 'kill':
      case 'terminate':
        return fleet[kind](worker) && this.note(record);
      case 'pause':
        if (!fleet.pause(worker, lasts)) return false;
        return during();
      case 'cut':
        fleet.proxy(worker, server).cut();
        return this.note(record);
      case 'half_open': {
        const end = fleet.proxy(worker, server).halfOpen(fault.swallows);
        await during();
        end();
        return true;
      }
      case 'delay':
        fleet.proxy(worker, server).delay(LATE_MS);
        await during();
        fleet.proxy(worker, server).delay(0);
        return true;
      case 'hold':
        fleet.proxy(worker, server).hold(lasts);
        return during();
      case 'flush':
        if (!this.redisUp) return false;
        await command(redis.port, 'FLUSHALL');
        return this.note(record);
      case 'redis_restart':
        if (!this.redisUp) return false;
        this.redisUp = false;
        await redis.kill();
        await during();
        await untilStarted(redis);
        this.redisUp = true;
        record.to = Date.now();
        return true;
      case 'postgres_crash':
        if (!this.postgresUp) return false;
        this.postgresUp = false;
        await postgres.halt('immediate');
        await during();
        await untilStarted(postgres);
        this.postgresUp = true;
        record.to = Date.now();
        return true;
      case 'disk_full':
        await disk.fill();
        await during();
        await disk.empty();
        return true;
      case 'unwritable':
        if (!(await disk.makeUnwritable())) return false;
        await during();
        await disk.makeWritable();
        return true;
      default:
        endpoint.willFail(kind.replace('model_', '') as ModelFault, lasts);
        return this.note(record);
    }
  }

  private note(record: StruckFault): true {
    this.struck.push(record);
    return true;
  }
}

async function untilStarted(server: { start(): Promise<void> }): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await server.start();
    } catch (error) {
      if (tries === 5) throw error;
      await delay(RETRY_MS);
    }
  }
}

async function command(port: number, words: string): Promise<void> {
  const socket = createConnection({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  socket.write(`${words}\r\n`);
  await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => undefined);
  socket.destroy();
}
