import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Fleet } from './fleet.js';
import { readTurn, type ReadWords } from './turn-reader.js';
import { turnRequest } from './work.js';

/** How a turn is asked for and read. */
const MODES = ['sync', 'stream', 'resumed', 'cancelled', 'left'] as const;
type Mode = (typeof MODES)[number];

/** Words after which a reader cuts itself off, cancels or leaves. */
const SOME = 20;
const PATIENCE_MS = 90_000;
const REQUEST_MS = 30_000;

/** A turn as its client knows it. */
export interface AskedTurn {
  tag: number;
  mode: Mode;
  /** Null while no answer has named it. */
  id: string | null;
  /** What each reader had whose stream came to its end while faults struck. */
  reads: string[];
  /** What whoever read it when all was over had. */
  later: string[];
}

/** Asks agents through the workers, whichever is up, and reads their answers in every way there is. */
export class TurnClient {
  readonly turns: AskedTurn[] = [];
  private agent = '';

  constructor(
    private readonly fleet: Fleet,
    private readonly adminSecret: string,
  ) {}

  async prepare(): Promise<void> {
    const answer = await this.ask('POST', '/api/v1/agents', {
      config: { name: `torture ${randomUUID()}`, model: 'torture', tools: [] },
    });
    if (answer?.status !== 201) throw new Error(`No agent was made: ${answer?.status} ${await answer?.text()}`);
    this.agent = ((await answer.json()) as { id: string }).id;
  }

  /** Carries one turn through; its tag decides how. */
  async carry(tag: number): Promise<void> {
    const turn: AskedTurn = {
      tag,
      mode: MODES[tag % MODES.length] ?? 'sync',
      id: null,
      reads: [],
      later: [],
    };
    this.turns.push(turn);
    if (turn.mode === 'sync') await this.carrySync(turn);
    else await this.carryStream(turn);
  }

  /** Reads every turn that is known once more, when the faults are over. */
  async readAgain(): Promise<void> {
    for (const turn of this.turns) if (turn.id !== null) await this.readToEnd(turn, turn.later);
  }

  /** Asks again under the same key while nobody knows whether the turn was begun. */
  private async carrySync(turn: AskedTurn): Promise<void> {
    const key = randomUUID();
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline) {
      const answer = await this.ask('POST', '/api/v1/tasks', this.body(turn), { 'idempotency-key': key });
      const known = answer?.ok ? ((await answer.json().catch(() => null)) as { task_id: string } | null) : null;
      if (known !== null) {
        turn.id = known.task_id;
        return;
      }
      await delay(500);
    }
  }

  private async carryStream(turn: AskedTurn): Promise<void> {
    const prefer: Record<string, string> = turn.mode === 'left' ? {} : { prefer: 'respond-async' };
    const answer = await this.ask('POST', '/api/v1/tasks/stream', this.body(turn), prefer);
    turn.id = answer?.headers.get('x-task-id') ?? null;
    if (answer === null || turn.id === null) return;
    const read: ReadWords = { words: '', lastId: null, done: false };
    const hasSome = ({ words }: ReadWords): boolean => turn.mode !== 'stream' && words.length >= SOME;
    await readTurn(answer, read, hasSome);
    if (read.done) turn.reads.push(read.words);
    if (turn.mode === 'cancelled') await this.ask('POST', `/api/v1/tasks/${turn.id}/cancel`);
    if (turn.mode === 'resumed') await this.readToEnd(turn, turn.reads, hasMore(SOME));
  }

  /** Reads the events from the first one, from one process after the other, and keeps in `reads` what it had when the end came. */
  private async readToEnd(
    turn: AskedTurn,
    reads: string[],
    cuts: (read: ReadWords) => boolean = () => false,
  ): Promise<void> {
    const read: ReadWords = { words: '', lastId: null, done: false };
    const deadline = performance.now() + PATIENCE_MS;
    while (!read.done && performance.now() < deadline) {
      const after: Record<string, string> = read.lastId === null ? {} : { 'last-event-id': read.lastId };
      const answer = await this.ask('GET', `/api/v1/tasks/${turn.id}/events`, undefined, after);
      if (answer?.status === 404) return;
      if (answer?.ok) await readTurn(answer, read, cuts);
      else await delay(300);
    }
    if (read.done) reads.push(read.words);
  }

  private body(turn: AskedTurn): object {
    return {
      agent_id: this.agent,
      messages: [{ role: 'user', content: turnRequest(turn.tag) }],
      metadata: { tag: turn.tag },
    };
  }

  private async ask(
    method: string,
    path: string,
    json?: object,
    headers: Record<string, string> = {},
  ): Promise<Response | null> {
    const url = this.fleet.url();
    if (url === null) return null;
    return fetch(`${url}${path}`, {
      method,
      signal: AbortSignal.timeout(REQUEST_MS),
      headers: { 'x-admin-secret': this.adminSecret, 'content-type': 'application/json', ...headers },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    }).catch(() => null);
  }
}

/** Cuts a reader off each time it has `more` characters more than at the last time. */
function hasMore(more: number): (read: ReadWords) => boolean {
  let had = 0;
  return ({ words }) => {
    if (words.length < had + more) return false;
    had = words.length;
    return true;
  };
}
