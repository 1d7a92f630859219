import { AgentStore } from './ports.js';

/** Agent records of one process, kept as JSON so that no caller shares an object with another. */
export class InProcessAgentStore extends AgentStore {
  private readonly records = new Map<string, string>();
  private complete = false;

  async get(id: string): Promise<unknown> {
    return parseRecord(this.records.get(id) ?? null);
  }

  async put(id: string, record: unknown): Promise<void> {
    this.records.set(id, JSON.stringify(record));
  }

  async remove(id: string): Promise<void> {
    this.records.delete(id);
  }

  async all(): Promise<Map<string, unknown> | null> {
    if (!this.complete) return null;
    return new Map([...this.records].map(([id, text]) => [id, parseRecord(text)]));
  }

  async markComplete(ids: Iterable<string>): Promise<void> {
    if ([...ids].every((id) => this.records.has(id))) this.complete = true;
  }

  /** Forgets every record, and with them that they were all. */
  clear(): void {
    this.records.clear();
    this.complete = false;
  }
}

/** The record that `text` holds, or null when it holds none. */
export function parseRecord(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
