import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Database, sql } from '../../src/platform/database/index.js';
import type { Answer, Asked } from '../support/model-server.js';
import { PipelineClient, type PodPlan } from '../support/pipeline-client.js';
import {
  startPostgres,
  startRedis,
  temporaryFolder,
  type TemporaryFolder,
  type TestPostgres,
  type TestRedis,
} from '../support/servers/index.js';
import { startService, type Service, type Settings } from '../support/service.js';
import { after, PASSING, StageModels } from '../support/stage-models.js';

/** Leases that end within seconds, so that a test sees its replica lose one, and a busy machine still renews them. */
export const SHORT_LEASES: Settings = {
  TASK_HEARTBEAT_INTERVAL_SECONDS: '0.2',
  TASK_STALE_SECONDS: '6',
  REAPER_INTERVAL_SECONDS: '0.3',
};

/** A pod of the task stage alone. */
export const TASK_ONLY: PodPlan = { agents: { context: null, guardrail: null, code_review: null, decision: null } };

/**
 * Replicas of the built service on a PostgreSQL, a Redis and a model endpoint of their own. One of them, the observer, serves
 * the API alone and outlives all the others.
 */
export class Fleet {
  readonly workers: Service[] = [];
  private readonly starting = new Set<Promise<Service>>();

  private constructor(
    readonly postgres: TestPostgres,
    readonly redis: TestRedis,
    readonly models: StageModels,
    readonly database: Database,
    private readonly folder: TemporaryFolder,
    private readonly settings: Settings,
    readonly observer: Service,
    readonly client: PipelineClient,
  ) {}

  static async start(settings: Settings): Promise<Fleet> {
    // What is committed must be there after a crash of the server, which the test servers trade for speed.
    const durable = { settings: { synchronous_commit: 'on' } };
    const [postgres, redis, models] = await Promise.all([startPostgres(durable), startRedis(), StageModels.start()]);
    const folder = temporaryFolder();
    const shared: Settings = {
      DATABASE_URL: postgres.url(),
      REDIS_URL: redis.url,
      LLM_BASE_URL: models.url,
      DEFAULT_CHAT_MODEL: 'none',
      ADMIN_SECRET: randomBytes(24).toString('base64url'),
      NOVA_DATA_DIR: join(folder.path, 'data'),
      NOVA_WORKSPACE: join(folder.path, 'workspace'),
      LOG_LEVEL: 'INFO',
      ...settings,
    };
    const observer = await startService({ ...shared, ROLES: 'api' });
    const database = new Database();
    database.attach({ connectionString: postgres.url(), poolSize: 2 });
    const client = await PipelineClient.of(observer);
    return new Fleet(postgres, redis, models, database, folder, shared, observer, client);
  }

  get workspace(): string {
    return join(this.folder.path, 'workspace');
  }

  /** One more worker. */
  add(settings: Settings = {}): Promise<Service> {
    const added = this.begin(settings).finally(() => this.starting.delete(added));
    this.starting.add(added);
    return added;
  }

  private async begin(settings: Settings): Promise<Service> {
    const worker = await startService({ ...this.settings, ...settings });
    this.workers.push(worker);
    void worker.exited.then(() => this.workers.splice(this.workers.indexOf(worker), 1));
    return worker;
  }

  /** Starts workers until `count` are alive, those that others are starting included. */
  async fill(count: number): Promise<void> {
    const missing = count - this.workers.length - this.starting.size;
    await Promise.all([...this.starting, ...Array.from({ length: Math.max(missing, 0) }, () => this.add())]);
  }

  /** Ends all workers. */
  async clear(): Promise<void> {
    await Promise.allSettled(this.starting);
    await Promise.all([...this.workers].map((worker) => worker.kill()));
  }

  /** The worker that holds the task's lease. */
  async runnerOf(taskId: string): Promise<Service> {
    const { name } = await this.database.one<{ name: string }>(
      'test.runner',
      sql`select w.name from tasks t join workers w on w.id = t.lease_owner where t.id = ${taskId}`,
    );
    const found = this.workers.find(({ pid }) => name.endsWith(`/${pid}`));
    if (found === undefined) throw new Error(`${name} is none of this fleet`);
    return found;
  }

  /** Submits a task to a pod with `model`. */
  async submit(model: string, plan: PodPlan = TASK_ONLY): Promise<string> {
    return this.client.submit((await this.client.createPod(model, plan)).name);
  }

  /** How often events of `type` were told of the task. */
  async count(taskId: string, type: string): Promise<number> {
    return (await this.client.events(taskId)).filter((event) => event.type === type).length;
  }

  /** Ends what a failed test left unfinished, so that it holds no worker up. */
  async cancelAll(): Promise<void> {
    const rows = await this.database.query<{ id: string }>(
      'test.unfinished',
      sql`select id from tasks where completed_at is null`,
    );
    for (const { id } of rows) await this.client.cancel(id);
  }

  /** `role attempt status` of each of the task's stages, sorted. */
  async stages(taskId: string): Promise<string[]> {
    const stages = await this.client.list(taskId, 'stages');
    return stages.map(({ role, attempt, status }) => `${role} ${attempt} ${status}`).toSorted();
  }

  async stop(): Promise<void> {
    await this.clear();
    await this.observer.kill();
    await this.database.close();
    await Promise.all([this.postgres.stop(), this.redis.stop(), this.models.stop()]);
    this.folder.remove();
  }
}

/** A model's answers that wait for a word: each is an `Answer`, in the order in which they are asked for. */
export class Held {
  readonly asked: Asked[] = [];
  private readonly releases: (() => void)[] = [];
  private readonly listeners: (() => void)[] = [];

  /** The n-th answer; what is missing is the passing one. */
  constructor(private readonly outputs: readonly Record<string, unknown>[] = []) {}

  readonly answer: Answer = (response, asked) => {
    const index = this.asked.push(asked) - 1;
    const released = new Promise<void>((resolve) => this.releases.push(resolve));
    for (const listener of this.listeners.splice(0)) listener();
    return after(released, this.outputs[index] ?? PASSING.task)(response, asked);
  };

  /** Resolves with the `count`-th question. */
  async heard(count = 1): Promise<Asked> {
    for (;;) {
      const asked = this.asked[count - 1];
      if (asked !== undefined) return asked;
      await new Promise<void>((resolve) => this.listeners.push(resolve));
    }
  }

  /** Gives the answers to all questions so far. */
  release(): void {
    for (const release of this.releases.splice(0)) release();
  }
}
