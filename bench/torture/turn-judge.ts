import type pg from 'pg';
import type { AskedTurn } from './turn-client.js';
import { turnWords } from './work.js';

/** What must all be empty, and how many turns there were. */
export interface TurnFindings {
  stuck: string[];
  answeredTwice: string[];
  wrongWords: string[];
  /** By status. */
  counts: Record<string, number>;
}

/**
 * No turn is stuck and none was answered twice. Whoever reads one later has the words that are stored; whoever read it while
 * faults struck has them too unless it failed, and then nothing but words of its answer.
 */
export async function judgeTurns(pool: pg.Pool, asked: readonly AskedTurn[]): Promise<TurnFindings> {
  const found: TurnFindings = { stuck: [], answeredTwice: [], wrongWords: [], counts: {} };
  const { rows } = await pool.query<{
    id: string;
    tag: number;
    status: string;
    response: string | null;
    ends: number;
  }>(
    `select t.id, (t.metadata ->> 'tag')::int as tag, t.status, t.response,
        (select count(*)::int from torture_turn_ends e where e.turn_id = t.id) as ends from turns t`,
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  const rowsOf = new Map<number, number>();
  for (const { tag, status, response, ends } of rows) {
    found.counts[status] = (found.counts[status] ?? 0) + 1;
    rowsOf.set(tag, (rowsOf.get(tag) ?? 0) + 1);
    const words = turnWords(tag).join('');
    if (status === 'running') found.stuck.push(`turn ${tag} still runs`);
    if (ends > 1) found.answeredTwice.push(`turn ${tag} was ended ${ends} times`);
    if (status === 'completed' && response !== words) found.wrongWords.push(`turn ${tag} is stored with ${response}`);
    if (!words.startsWith(response ?? '')) found.wrongWords.push(`turn ${tag} is stored with ${response}`);
  }
  for (const { tag, mode, id, reads, later } of asked) {
    if ((rowsOf.get(tag) ?? 0) > 1) found.answeredTwice.push(`turn ${tag} is there ${rowsOf.get(tag)} times`);
    if (id === null) continue;
    const row = byId.get(id);
    if (row === undefined) {
      found.stuck.push(`turn ${tag} was begun and is not there`);
      continue;
    }
    if (later.length === 0) found.stuck.push(`turn ${tag} (${mode}) cannot be read to its end`);
    const stored = row.response ?? '';
    // A failed turn may have sent more than its process could store, or less.
    const isTold = (read: string): boolean =>
      row.status === 'failed' ? turnWords(tag).join('').startsWith(read) : read === stored;
    const wrong = [...reads.filter((read) => !isTold(read)), ...later.filter((read) => read !== stored)];
    for (const read of wrong) {
      found.wrongWords.push(`a reader of turn ${tag} (${mode}) has ${read} and ${row.response} is stored`);
    }
  }
  return found;
}
