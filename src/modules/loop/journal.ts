import type { ModelAnswer } from '../llm/index.js';

/** A model answer, with the intents of the tool calls it asks for. */
export interface ModelEntry {
  kind: 'answer';
  /** Counts the entries of one journal from 0; a crash may leave holes. */
  seq: number;
  answer: ModelAnswer;
}

/** The outcome of one tool call; `callId` is unique within a journal. */
export interface ToolEntry {
  kind: 'result';
  seq: number;
  callId: string;
  text: string;
  isError: boolean;
  durationMs: number;
  /** The call's effects are in the task's work tree. */
  inTree?: true;
}

/** Calls of unknown outcome are about to be made again. */
export interface RepeatEntry {
  kind: 'repeat';
  seq: number;
}

export type JournalEntry = ModelEntry | ToolEntry | RepeatEntry;

/**
 * The durable record of one conversation with a model. What `record…` was given is what a later attempt finds in `recorded`,
 * and entries hold only text that PostgreSQL can store. A rejection stops the loop: its running tools are aborted.
 */
export interface LoopJournal {
  /** Entries of an earlier attempt, in order; the loop replays them instead of asking or executing again. */
  readonly recorded: readonly JournalEntry[];
  /** Ids of calls that a person has allowed to be made again if their outcome is not known: once, so a `repeat` entry ends it. */
  readonly mayRepeat?: ReadonlySet<string>;
  /** Durably stores a model answer before any of the tool calls it asks for runs. */
  recordAnswer(entry: ModelEntry): Promise<void>;
  /** Durably stores one tool call's result. Calls overlap when tools ran in parallel. */
  recordResult(entry: ToolEntry): Promise<void>;
  /** Durably stores that calls of unknown outcome are made again, before the first of them is. */
  recordRepeat(entry: RepeatEntry): Promise<void>;
}

/**
 * An earlier attempt asked for tool calls whose outcome nobody knows, and repeating them may do harm. Nothing was executed
 * when this is thrown.
 */
export class UnknownToolOutcomeError extends Error {
  override readonly name = 'UnknownToolOutcomeError';
  constructor(readonly calls: readonly { id: string; name: string; arguments: string }[]) {
    super(`The outcome of an earlier call is not known: ${calls.map(({ name }) => name).join(', ')}.`);
  }
}

/** Reads a journal's recorded part once, answer by answer, and numbers what comes after it. */
export class JournalCursor {
  private readonly answers: ModelEntry[] = [];
  private readonly results = new Map<string, ToolEntry>();
  private next = 0;
  private seq = 0;
  private repeated = false;

  constructor(private readonly journal: LoopJournal | undefined) {
    for (const entry of journal?.recorded ?? []) {
      if (entry.kind === 'answer') this.answers.push(entry);
      else if (entry.kind === 'result') this.results.set(entry.callId, entry);
      else this.repeated = true;
      this.seq = Math.max(this.seq, entry.seq + 1);
    }
  }

  get hasAnswer(): boolean {
    return this.next < this.answers.length;
  }

  /** The next recorded answer, or null when the record is at its end. */
  takeAnswer(): ModelAnswer | null {
    return this.answers[this.next++]?.answer ?? null;
  }

  resultOf(callId: string): ToolEntry | null {
    return this.results.get(callId) ?? null;
  }

  async recordAnswer(answer: ModelAnswer): Promise<void> {
    await this.journal?.recordAnswer({ kind: 'answer', seq: this.seq++, answer });
  }

  /** Uses up the permission to make calls of unknown outcome again; false when there is none for one of them. */
  async takeRepeat(callIds: readonly string[]): Promise<boolean> {
    if (this.repeated || !callIds.every((id) => this.journal?.mayRepeat?.has(id))) return false;
    this.repeated = true;
    await this.journal?.recordRepeat({ kind: 'repeat', seq: this.seq++ });
    return true;
  }

  async recordResult(result: Omit<ToolEntry, 'kind' | 'seq'>): Promise<void> {
    await this.journal?.recordResult({ kind: 'result', seq: this.seq++, ...result });
  }
}
