import type pg from 'pg';
import type { Killing } from './fleet.js';

/** How long a task that a killed worker held waited for its next worker. */
export interface Recovery {
  /** Epoch milliseconds. */
  killedAt: number;
  ms: number;
}

interface LeaseChange {
  task_id: string;
  owner: number | null;
  epoch_before: string;
  epoch: string;
  at: number;
}

/** From each kill to the next claim of every task that the worker held then. */
export async function findRecoveries(pool: pg.Pool, killings: readonly Killing[]): Promise<Recovery[]> {
  const workers = await pool.query<{ id: number; name: string }>('select id, name from workers');
  const { rows } = await pool.query<LeaseChange>(
    `select task_id, owner, epoch_before, epoch, extract(epoch from at)::float8 * 1000 as at
       from torture_leases order by task_id, at`,
  );
  const killedAt = new Map<number, number>();
  for (const { pid, at } of killings) {
    for (const { id, name } of workers.rows) if (name.endsWith(`/${pid}`)) killedAt.set(id, at);
  }
  const recoveries: Recovery[] = [];
  for (const [index, held] of rows.entries()) {
    const at = held.owner === null ? undefined : killedAt.get(held.owner);
    const next = rows[index + 1];
    // What the worker had given back before it died, or in a write that was under way then, it did not hold.
    if (at === undefined || held.at > at || next?.task_id !== held.task_id || next.at < at) continue;
    if (next.owner === null && next.epoch === next.epoch_before) continue;
    const claim = rows.slice(index + 1, index + 20).find((row) => row.task_id === held.task_id && row.owner !== null);
    if (claim !== undefined) recoveries.push({ killedAt: at, ms: Math.round(claim.at - at) });
  }
  return recoveries;
}

/** The value below which a share of `values` lies; null of none. */
export function quantile(values: readonly number[], share: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
}
