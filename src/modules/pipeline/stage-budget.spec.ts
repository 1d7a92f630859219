import { describe, expect, it } from '@jest/globals';
import type { ModelCall } from '../llm/index.js';
import { Lease } from './lease.js';
import { CostLimitReached, PriceUnknown, StageBudget } from './stage-budget.js';
import { initialControl } from './task-control.js';
import type { TaskMovesRepository } from './task-moves.repository.js';
import type { TaskRun } from './task-runs.repository.js';
import { TaskSession } from './task-session.js';

const WORST: Record<string, number> = { cheap: 1, dear: 4 };
const USAGE = { inputTokens: 10, outputTokens: 5, estimated: false };

function call(): ModelCall {
  return { prompt: [], signal: new AbortController().signal };
}

/** A stage of a task that may spend `limit` USD, of which `granted` were given away earlier. */
function setup(limit: number | null, granted = 0) {
  const control = initialControl(limit);
  const run = { control, inputTokens: 0, outputTokens: 0, costUsd: 0, grantedUsd: granted } as TaskRun;
  const session = new TaskSession(run, new Lease('task', 1, 1, 1), {} as TaskMovesRepository, () => 0);
  const grants: number[] = [];
  const llm = { worstCaseCostUsd: (model: string) => WORST[model] ?? null };
  const budget = new StageBudget(session, llm, [], async (usd) => void grants.push(usd));
  const used = (model: string, costUsd: number, failed = false) => ({ model, usage: USAGE, costUsd, failed });
  return { session, budget, grants, used };
}

describe('the budget of a stage', () => {
  it('refuses the model of a chain that would go over, after what the ones before it really cost', () => {
    const { budget, session, used } = setup(5);
    const asked = call();
    budget.beforeCall('dear', asked);
    budget.afterCall(used('dear', 3.5, true), asked);
    budget.beforeCall('cheap', asked);
    budget.afterCall(used('cheap', 0.5, true), asked);
    expect(() => budget.beforeCall('dear', asked)).toThrow(CostLimitReached);
    expect(session.committedUsd).toBe(4);
  });

  it('holds the worst case of every call under way, and frees it when that call has ended', () => {
    const { budget, session } = setup(5);
    const [one, two] = [call(), call()];
    budget.beforeCall('dear', one);
    budget.beforeCall('cheap', two);
    expect(session.committedUsd).toBe(5);
    expect(() => budget.beforeCall('cheap', call())).toThrow(CostLimitReached);
    budget.endCall(two);
    expect(session.committedUsd).toBe(4);
    budget.endCall(one);
    budget.endCall(one);
    expect(session.committedUsd).toBe(0);
  });

  it('refuses a model whose price nobody knows, and asks nothing without a limit', () => {
    expect(() => setup(5).budget.beforeCall('unknown', call())).toThrow(PriceUnknown);
    setup(null).budget.beforeCall('unknown', call());
  });

  it('stores what it gives away, and counts what earlier workers gave', async () => {
    const { budget, grants, session } = setup(8, 4);
    expect(await budget.grantUsd()).toBe(2);
    expect(await budget.grantUsd()).toBe(1);
    expect([grants, session.committedUsd]).toEqual([[2, 1], 7]);
    expect(() => budget.beforeCall('dear', call())).toThrow(CostLimitReached);
    expect(await setup(null).budget.grantUsd()).toBeNull();
  });
});
