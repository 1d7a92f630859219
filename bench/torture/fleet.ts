import { setTimeout as delay } from 'node:timers/promises';
import { startService, type LogLine, type Service, type Settings } from '../../test/support/service.js';
import type { TestPostgres, TestRedis } from '../../test/support/servers/index.js';
import { FaultProxy } from './fault-proxy.js';

/** For a start that falls into an outage. */
const AGAIN_MS = 1_000;
/** Lines of errors that are kept to be shown. */
const MOST_ERRORS = 50;
/** Starts in a row that may take longer than the rig waits, as on a busy machine; one more is a service that does not start. */
const MOST_SLOW_STARTS = 2;

type State = 'starting' | 'up' | 'paused' | 'leaving';

/** A stretch of a worker's life, for the timeline. */
export interface LifeSpan {
  place: number;
  state: State;
  from: number;
  to: number;
}

/** A worker that was killed, and when (epoch milliseconds). */
export interface Killing {
  pid: number;
  at: number;
}

/** A paused worker that woke up, and when (epoch milliseconds). */
export interface Waking {
  place: number;
  at: number;
}

interface Place {
  readonly index: number;
  readonly postgres: FaultProxy;
  readonly redis: FaultProxy;
  service: Service | null;
  state: State;
  since: number;
  starting: Promise<void>;
}

/** Lines of the workers' logs that a report counts. */
export interface FleetWords {
  /** Writes that the fence refused, as far as their workers were there to log it. */
  refusedWrites: number;
  /** Runs that stopped because their lease was gone, refused writes among them. */
  stoppedRuns: number;
  /** Starts that the rig did not wait for. */
  slowStarts: number;
  /** Lines of the level ERROR, without repetitions. */
  errors: Map<string, number>;
}

/**
 * Workers in numbered places, each behind proxies of its own to PostgreSQL and Redis. Whoever is killed or ends is followed by
 * another in the same place.
 */
export class Fleet {
  readonly killings: Killing[] = [];
  readonly spans: LifeSpan[] = [];
  readonly wakings: Waking[] = [];
  /** Workers that ended though nobody told them to, and drains that did not end well. */
  readonly badEnds: string[] = [];
  readonly words: FleetWords = { refusedWrites: 0, stoppedRuns: 0, slowStarts: 0, errors: new Map() };
  /** Milliseconds from SIGTERM to the end of the process. */
  readonly drains: number[] = [];
  private readonly ending = new Set<Promise<unknown>>();
  private isOver = false;
  private turn = 0;
  private launches = 0;
  private over: Promise<void> | null = null;

  private constructor(
    private readonly settings: Settings,
    private readonly main: string | undefined,
    private readonly places: Place[],
  ) {}

  static async start(
    count: number,
    servers: { postgres: TestPostgres; redis: TestRedis },
    settings: Settings,
    main?: string,
  ): Promise<Fleet> {
    const places = await Promise.all(
      Array.from({ length: count }, async (_, index): Promise<Place> => {
        const postgres = await FaultProxy.before({ path: `${servers.postgres.socketFolder}/.s.PGSQL.5432` });
        const redis = await FaultProxy.before({ host: '127.0.0.1', port: servers.redis.port });
        const since = Date.now();
        return { index, postgres, redis, service: null, state: 'starting', since, starting: Promise.resolve() };
      }),
    );
    const fleet = new Fleet(settings, main, places);
    for (const place of places) fleet.begin(place);
    return fleet;
  }

  /** Workers that run, those that are paused left out. */
  get awake(): number {
    return this.places.filter(({ state }) => state === 'up').length;
  }

  /** The address of one of the workers that run, of another one each time; null while none does. */
  url(): string | null {
    for (let step = 0; step < this.places.length; step += 1) {
      const place = this.places[(this.turn += 1) % this.places.length];
      if (place?.state === 'up' && place.service !== null) return place.service.url;
    }
    return null;
  }

  /** Waits until every place has a worker that runs. */
  async allUp(): Promise<void> {
    for (const place of this.places) {
      while (place.state !== 'up' && !this.isOver) await Promise.all([place.starting, delay(50)]);
    }
  }

  /** Strikes the worker of a place, or the next one that can be struck; false when there is none. */
  kill(index: number): boolean {
    const struck = this.struck(index, true);
    if (struck === null) return false;
    const { place, service } = struck;
    this.killings.push({ pid: service.pid, at: Date.now() });
    this.change(place, 'starting');
    place.service = null;
    this.keep(service.kill().then(() => this.hear(service.logs)));
    this.begin(place);
    return true;
  }

  terminate(index: number): boolean {
    const struck = this.struck(index, false);
    if (struck === null) return false;
    const { place, service } = struck;
    const at = Date.now();
    this.change(place, 'starting');
    place.service = null;
    this.keep(
      service.stop().then((code) => {
        this.hear(service.logs);
        this.drains.push(Date.now() - at);
        if (code !== 0) this.badEnds.push(`a worker that was told to end exited with ${code}`);
      }),
    );
    this.begin(place);
    return true;
  }

  pause(index: number, ms: number): boolean {
    const struck = this.struck(index, false);
    if (struck === null) return false;
    const { place, service } = struck;
    service.signal('SIGSTOP');
    this.change(place, 'paused');
    const woken = delay(ms).then(() => {
      this.wakings.push({ place: place.index, at: Date.now() });
      service.signal('SIGCONT');
      if (place.service === service) this.change(place, 'up');
    });
    this.keep(woken);
    return true;
  }

  /** The proxy before a server of the worker in a place. */
  proxy(index: number, server: 'postgres' | 'redis'): FaultProxy {
    const place = this.places[index % this.places.length];
    if (place === undefined) throw new Error('There is no worker.');
    return place[server];
  }

  /** Ends everything, whatever state it is in; once. */
  end(): Promise<void> {
    this.over ??= this.endAll();
    return this.over;
  }

  private async endAll(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.places.map(({ starting }) => starting));
    for (const place of this.places) {
      const { service } = place;
      place.service = null;
      if (service !== null) this.keep(service.kill().then(() => this.hear(service.logs)));
      this.change(place, 'leaving');
    }
    await Promise.all(this.ending);
    await Promise.all(this.places.flatMap(({ postgres, redis }) => [postgres.close(), redis.close()]));
  }

  private struck(index: number, paused: boolean): { place: Place; service: Service } | null {
    for (let step = 0; step < this.places.length; step += 1) {
      const place = this.places[(index + step) % this.places.length];
      if (place === undefined || place.service === null) continue;
      if (place.state === 'up' || (paused && place.state === 'paused')) return { place, service: place.service };
    }
    return null;
  }

  private begin(place: Place): void {
    place.starting = this.launch(place);
  }

  private async launch(place: Place): Promise<void> {
    for (let slow = 0; !this.isOver && place.service === null;) {
      // The judge tells by it whose write a row is.
      const session = `worker-${place.index}-${(this.launches += 1)}`;
      const url = new URL(this.settings['DATABASE_URL'] ?? '');
      const settings = {
        ...this.settings,
        DATABASE_URL: `postgresql://${url.username}:${url.password}@127.0.0.1:${place.postgres.port}${url.pathname}?application_name=${session}`,
        LLM_BASE_URL: this.settings['LLM_BASE_URL']?.replace(/\/v1$/, `/worker-${place.index}/v1`),
        REDIS_URL: `redis://127.0.0.1:${place.redis.port}/2`,
      };
      const service = await this.ready(settings).catch((error: unknown) => {
        const isSlow = !/the service ended/.test(String(error));
        if (isSlow) this.words.slowStarts += 1;
        slow = isSlow ? slow + 1 : MOST_SLOW_STARTS + 1;
        if (slow > MOST_SLOW_STARTS) this.badEnds.push(`a worker did not start: ${String(error).slice(0, 500)}`);
        return null;
      });
      if (service === null) {
        await delay(AGAIN_MS);
        continue;
      }
      place.service = service;
      this.change(place, 'up');
      void service.exited.then((code) => {
        if (place.service !== service || this.isOver) return;
        this.badEnds.push(`a worker ended by itself with ${code}: ${service.output().slice(-500)}`);
        this.hear(service.logs);
        place.service = null;
        this.change(place, 'starting');
        this.begin(place);
      });
    }
  }

  /** A worker that can work: one that only listens would be struck before it has begun. */
  private async ready(settings: Settings): Promise<Service> {
    const options = { listening: true, ...(this.main === undefined ? {} : { main: this.main }) };
    const service = await startService(settings, options);
    try {
      await service.untilReady();
      return service;
    } catch (error) {
      await service.kill();
      throw error;
    }
  }

  private change(place: Place, state: State): void {
    const now = Date.now();
    this.spans.push({ place: place.index, state: place.state, from: place.since, to: now });
    place.state = state;
    place.since = now;
  }

  private keep(work: Promise<unknown>): void {
    this.ending.add(work);
    void work.finally(() => this.ending.delete(work));
  }

  private hear(lines: readonly LogLine[]): void {
    for (const { level, message, error } of lines) {
      if (/the lease of epoch \d+ is gone/.test(message)) {
        this.words.stoppedRuns += 1;
        if (/Another holder has the task|lease was lost (?:while|before)/.test(message)) this.words.refusedWrites += 1;
      }
      if (!/^(error|fatal)$/i.test(level)) continue;
      const cause = error === undefined ? '' : `: ${JSON.stringify(error)}`;
      const text = (message + cause).replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, '…');
      if (this.words.errors.size < MOST_ERRORS || this.words.errors.has(text)) {
        this.words.errors.set(text, (this.words.errors.get(text) ?? 0) + 1);
      }
    }
  }
}
