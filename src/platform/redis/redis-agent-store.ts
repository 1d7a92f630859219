import type { Redis } from 'ioredis';
import { parseRecord } from './in-process-agent-store.js';
import { AgentStore } from './ports.js';
import type { RedisConnections } from './redis-connections.js';

/** Member of the index that claims it holds every agent; no id looks like it. */
const COMPLETE = '*';
const RECORD_TTL_MS = 3_600_000;
const COMPLETE_TTL_MS = 300_000;

/**
 * One key per record, and one set of their ids that also carries the claim of completeness, so that the claim cannot
 * outlive the ids. A write that may not have arrived makes its id doubtful: this process does not read it, and as soon as
 * the server answers the record and the claim are dropped for all processes. What a process that died could not drop
 * ends by expiry.
 */
export class RedisAgentStore extends AgentStore {
  /** Ids with the number of their latest doubt. */
  private readonly doubtful = new Map<string, number>();
  private doubts = 0;

  constructor(
    private readonly connections: RedisConnections,
    private readonly prefix: string,
  ) {
    super();
    connections.commands.on('ready', () => void this.settle());
  }

  async get(id: string): Promise<unknown> {
    if (!(await this.settle())) return null;
    return parseRecord(await this.connections.run((client) => client.get(this.key(id)), null));
  }

  async put(id: string, record: unknown): Promise<void> {
    const json = JSON.stringify(record);
    await this.write(id, (client) => client.novaAgentPut(this.key(id), this.index, id, json, RECORD_TTL_MS));
  }

  async remove(id: string): Promise<void> {
    await this.write(id, (client) => client.novaAgentDrop(2, this.index, this.key(id), id));
  }

  async all(): Promise<Map<string, unknown> | null> {
    if (!(await this.settle())) return null;
    const found = await this.connections.run(
      (client) => client.novaAgentsAll(this.index, COMPLETE, this.key('')),
      null,
    );
    if (found === null) return null;
    const records = new Map<string, unknown>();
    for (let i = 0; i + 1 < found.length; i += 2) {
      const record = parseRecord(found[i + 1] ?? null);
      if (record === null) this.doubt(found[i] ?? '');
      records.set(found[i] ?? '', record);
    }
    if (this.doubtful.size === 0) return records;
    await this.settle();
    return null;
  }

  async markComplete(ids: Iterable<string>): Promise<void> {
    if (!(await this.settle())) return;
    const list = JSON.stringify([...ids]);
    await this.connections.run((client) => client.novaAgentsComplete(this.index, COMPLETE, COMPLETE_TTL_MS, list), 0);
  }

  private async write(id: string, operation: (client: Redis) => Promise<number>): Promise<void> {
    if ((await this.connections.run(operation, 0)) === 0) this.doubt(id);
  }

  private doubt(id: string): void {
    this.doubts += 1;
    this.doubtful.set(id, this.doubts);
  }

  /** Drops what is doubtful for all processes; false while that is not done. */
  private async settle(): Promise<boolean> {
    if (this.doubtful.size === 0) return true;
    const settled = new Map(this.doubtful);
    const ids = [...settled.keys()];
    const keys = [this.index, ...ids.map((id) => this.key(id))];
    const drop = this.connections.run((client) => client.novaAgentDrop(keys.length, ...keys, ...ids, COMPLETE), 0);
    if ((await drop) === 0) return false;
    for (const [id, doubt] of settled) if (this.doubtful.get(id) === doubt) this.doubtful.delete(id);
    return this.doubtful.size === 0;
  }

  private key(id: string): string {
    return `${this.prefix}agent:${id}`;
  }

  private get index(): string {
    return `${this.prefix}agents`;
  }
}
