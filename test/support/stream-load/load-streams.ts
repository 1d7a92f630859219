import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startService, type Service } from '../service.js';
import { PIECE_CHARACTERS } from './pieces.js';
import { openConnections, readHealthy, residentBytes, stall, type Healthy, type Stalled } from './readers.js';

const ROOT = join(fileURLToPath(import.meta.url), '../../../..');
const MODEL = join(ROOT, 'test/support/stream-load/pouring-model.main.ts');
const LOOK_MS = 250;
/** Share of a flooded turn after which late readers come. Its first events are no longer kept then. */
const LATE_SHARE = 0.9;
/** A stalled reader that is still connected after this will stay. */
const GIVE_UP_MS = 90_000;

export interface StreamLoad {
  stalled: number;
  healthy: number;
  seconds: number;
  /** Bytes on the wire that each stalled client is offered. */
  floodBytesPerSecond: number;
  /** Characters of one flooded answer; each is six bytes on the wire. */
  floodCharacters: number;
  steadyBytesPerSecond: number;
  /** Turns that the clients of each kind share. */
  floodTurns: number;
  steadyTurns: number;
}

export interface StreamLoadResult {
  /** RSS of the service, in bytes: idle, at most under the same turns and healthy readers alone, at most with stalled ones too. */
  rss: { idle: number; without: number; with: number };
  /** How long each stalled connection lived, in ms; whoever was cut off came back and stalled again. */
  closedAfterMs: number[];
  neverClosed: number;
  /** Answers other than 200 to clients that came to stall. */
  refused: number;
  /** Of both passes. */
  healthy: { without: Healthy[]; with: Healthy[] };
  piecesEach: number;
}

/**
 * Stalled and healthy readers of streams beside each other, after a pass of the same without stalled ones, against the built
 * service as a process of its own, with the model in a third one. A stalled reader takes the turn's own stream, its events
 * from the first on, or its events after one that is no longer kept.
 */
export async function loadStreams(load: StreamLoad): Promise<StreamLoadResult> {
  const model = fork(MODEL, { cwd: ROOT, execArgv: ['--import', './scripts/typescript.mjs'] });
  const [modelUrl] = (await once(model, 'message')) as [string];
  const service = await startService({
    LLM_BASE_URL: modelUrl,
    DEFAULT_CHAT_MODEL: 'steady-1000-1',
    LOG_LEVEL: 'INFO',
  });
  try {
    return await new LoadedService(service, load).run();
  } finally {
    await service.kill();
    model.disconnect();
  }
}

class LoadedService {
  private readonly closedAfterMs: number[] = [];
  private neverClosed = 0;
  private refused = 0;
  private peak = 0;
  private open = new Set<number>();
  private readonly watching = new AbortController();

  constructor(
    private readonly service: Service,
    private readonly load: StreamLoad,
  ) {}

  async run(): Promise<StreamLoadResult> {
    const { load, service } = this;
    const steady = await this.agent(`steady-${load.steadyBytesPerSecond}-${load.seconds}`);
    const flood = await this.agent(`flood-${load.floodBytesPerSecond}-${load.floodCharacters}`);
    await readHealthy(service.url, this.turn(await this.agent('steady-20000-2'))).ended;
    const idle = await residentBytes(service.pid);
    const watched = this.watch();
    const without = await this.pass(steady, (_group, until) => this.unreadTurns(flood, until));
    const peakWithout = this.peak;
    this.peak = 0;
    const withStalled = await this.pass(steady, (group, until) => this.stallGroup(flood, group, until));
    this.watching.abort();
    await watched;
    return {
      rss: { idle, without: peakWithout, with: this.peak },
      closedAfterMs: this.closedAfterMs,
      neverClosed: this.neverClosed,
      refused: this.refused,
      healthy: { without, with: withStalled },
      piecesEach: Math.round((load.steadyBytesPerSecond / PIECE_CHARACTERS) * load.seconds),
    };
  }

  private async pass(steady: string, flood: (group: number, until: number) => Promise<void>): Promise<Healthy[]> {
    const until = performance.now() + this.load.seconds * 1_000;
    const healthy = await this.startHealthy(steady);
    const groups = Array.from({ length: this.load.floodTurns }, (_, group) => flood(group, until));
    await Promise.all([...healthy.map(({ ended }) => ended), ...groups]);
    return healthy;
  }

  /** The flooded turns of one group, read by nobody. */
  private async unreadTurns(agent: string, until: number): Promise<void> {
    while (performance.now() < until) {
      const { socket } = await stall(this.service.url, this.turn(agent));
      socket.destroy();
      await delay(this.floodMs);
    }
  }

  /** How long a flooded turn goes on. */
  private get floodMs(): number {
    return (this.load.floodCharacters * 6_000) / this.load.floodBytesPerSecond;
  }

  private async startHealthy(agent: string): Promise<Healthy[]> {
    const { healthy, steadyTurns } = this.load;
    const own = Array.from({ length: steadyTurns }, () => readHealthy(this.service.url, this.turn(agent)));
    const ids = await Promise.all(own.map(({ taskId }) => taskId));
    const rest = Array.from({ length: healthy - steadyTurns }, (_, index) =>
      readHealthy(this.service.url, { method: 'GET', path: eventsOf(ids[index % steadyTurns]) }),
    );
    return [...own, ...rest];
  }

  /** Stalled readers of one flooded turn at a time, which one of them begins, as long as there is time. */
  private async stallGroup(agent: string, group: number, until: number): Promise<void> {
    const count = Math.ceil((this.load.stalled - group) / this.load.floodTurns);
    let taskId: Promise<string> | null = null;
    let begunAtMs = -Infinity;
    const begin = (): Promise<Stalled> => {
      begunAtMs = performance.now();
      const stalled = stall(this.service.url, this.turn(agent));
      taskId = stalled.then((each) => each.taskId);
      return stalled;
    };
    const visit = async (isLate: boolean): Promise<Stalled> => {
      if (taskId === null || performance.now() - begunAtMs > this.floodMs) return begin();
      const path = eventsOf(await taskId);
      if (!isLate) return stall(this.service.url, { method: 'GET', path });
      await delay(Math.max(0, begunAtMs + this.floodMs * LATE_SHARE - performance.now()));
      return stall(this.service.url, { method: 'GET', path, headers: { 'last-event-id': '1' } });
    };
    const client = async (index: number): Promise<void> => {
      for (let isLate = index % 4 !== 0; performance.now() < until; isLate = true) {
        const stalled = await visit(isLate);
        if (stalled.status !== 200) this.refused += 1;
        await this.untilClosed(stalled);
      }
    };
    await Promise.all(Array.from({ length: count }, (_, index) => client(index)));
  }

  private async untilClosed({ socket, sinceMs }: Stalled): Promise<void> {
    const port = socket.localPort ?? 0;
    do await delay(LOOK_MS);
    while (this.open.has(port) && performance.now() - sinceMs < GIVE_UP_MS);
    if (this.open.has(port)) this.neverClosed += 1;
    else this.closedAfterMs.push(performance.now() - sinceMs);
    socket.destroy();
  }

  private async watch(): Promise<void> {
    while (!this.watching.signal.aborted) {
      this.open = await openConnections(this.service.url);
      this.peak = Math.max(this.peak, await residentBytes(this.service.pid));
      await delay(LOOK_MS / 2);
    }
  }

  private async agent(model: string): Promise<string> {
    const json = { config: { name: model, model, tools: [] } };
    const answer = await this.service.fetch('/api/v1/agents', { method: 'POST', json });
    return ((await answer.json()) as { id: string }).id;
  }

  private turn(agentId: string): Parameters<typeof stall>[1] {
    return {
      method: 'POST',
      path: '/api/v1/tasks/stream',
      headers: { prefer: 'respond-async' },
      json: { agent_id: agentId, messages: [{ role: 'user', content: 'Pour.' }] },
    };
  }
}

function eventsOf(id: string | undefined): string {
  return `/api/v1/tasks/${id}/events`;
}
