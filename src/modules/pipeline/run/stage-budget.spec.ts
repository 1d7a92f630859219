import { describe, expect, it } from '@jest/globals';
import type { ModelCall } from '../../llm/index.js';
import { CostLimitReachedError, PriceUnknownError, StageBudget } from './stage-budget.js';
import { initialControl } from '../rules/task-control.js';
import { executionOf, loadedTask } from '../../../../test/support/tasks.js';

const WORST: Record<string, number> = { cheap: 1, dear: 4 };
const USAGE = { inputTokens: 10, outputTokens: 5, estimated: false };

function call(): ModelCall {
  return { prompt: [], signal: new AbortController().signal };
}

/** A stage of a task that may spend `limit` USD, of which `granted` were given away earlier. */
function setup(
  limit: number | null,
  granted = 0,
  promise?: () => Promise<void>,
  recorded: ConstructorParameters<typeof StageBudget>[2] = [],
) {
  const execution = executionOf(loadedTask({ control: initialControl(limit), grantedUsd: granted }));
  const grants: number[] = [];
  const promises: number[] = [];
  const llm = { worstCaseCostUsd: (model: string) => WORST[model] ?? null };
  const budget = new StageBudget(execution, llm, recorded, {
    promise: promise ?? (async (usd) => void promises.push(usd)),
    grant: async (usd) => void grants.push(usd),
  });
  const used = (model: string, costUsd: number, failed = false) => ({ model, usage: USAGE, costUsd, failed });
  return { execution, budget, grants, promises, used };
}

describe('the budget of a stage', () => {
  it('refuses the model of a chain that would go over, after what the ones before it really cost', async () => {
    const { budget, execution, used } = setup(5);
    const asked = call();
    await budget.beforeCall('dear', asked);
    budget.afterCall(used('dear', 3.5, true), asked);
    await budget.beforeCall('cheap', asked);
    budget.afterCall(used('cheap', 0.5, true), asked);
    await expect(budget.beforeCall('dear', asked)).rejects.toThrow(CostLimitReachedError);
    expect(execution.committedUsd).toBe(4);
  });

  it('holds the worst case of every call under way, and frees it when that call has ended', async () => {
    const { budget, execution, promises } = setup(5);
    const [one, two] = [call(), call()];
    await budget.beforeCall('dear', one);
    await budget.beforeCall('cheap', two);
    expect(execution.committedUsd).toBe(5);
    await expect(budget.beforeCall('cheap', call())).rejects.toThrow(CostLimitReachedError);
    budget.endCall(two);
    expect(execution.committedUsd).toBe(4);
    budget.endCall(one);
    budget.endCall(one);
    expect(execution.committedUsd).toBe(0);
    expect(promises).toEqual([4, 1]);
    expect(execution.takeSpent()).toMatchObject({ promised_usd: -5 });
  });

  it('refuses a model whose price nobody knows, and asks nothing without a limit', async () => {
    await expect(setup(5).budget.beforeCall('unknown', call())).rejects.toThrow(PriceUnknownError);
    const { budget, promises } = setup(null);
    await budget.beforeCall('unknown', call());
    expect(promises).toEqual([]);
  });

  it('stores what it gives away, and counts what earlier workers gave', async () => {
    const { budget, grants, execution } = setup(8, 4);
    expect(await budget.grantUsd()).toBe(2);
    expect(await budget.grantUsd()).toBe(1);
    expect([grants, execution.committedUsd]).toEqual([[2, 1], 7]);
    await expect(budget.beforeCall('dear', call())).rejects.toThrow(CostLimitReachedError);
    expect(await setup(null).budget.grantUsd()).toBeNull();
  });

  it('counts a promise against the limit while it is being stored', async () => {
    const { budget } = setup(5);
    const first = budget.beforeCall('dear', call());
    await expect(budget.beforeCall('dear', call())).rejects.toThrow(CostLimitReachedError);
    await first;
  });

  it('counts what a provider read from its cache, before a crash too, and nothing in journals that do not tell it', () => {
    const usage = { ...USAGE, cachedInputTokens: 4 };
    const answer = { model: 'cheap', text: '', toolCalls: [], finishReason: 'stop' as const, costUsd: 1 };
    const recorded = [USAGE, usage].map((of, seq) => ({
      kind: 'answer' as const,
      seq,
      answer: { ...answer, usage: of },
    }));
    const { budget, execution } = setup(null, 0, undefined, recorded);
    budget.afterCall({ model: 'cheap', usage, costUsd: 1, failed: false }, call());
    expect(budget.used).toMatchObject({ inputTokens: 30, cachedInputTokens: 8 });
    const unwritten = execution.takeSpent();
    expect(unwritten).toMatchObject({ input_tokens: 10, cached_input_tokens: 4 });
    execution.giveBack(unwritten);
    execution.giveBack(unwritten);
    expect(execution.takeSpent()).toMatchObject({ input_tokens: 20, cached_input_tokens: 8 });
  });

  it('makes no call whose promise could not be stored', async () => {
    const { budget, execution } = setup(5, 0, () => Promise.reject(new Error('away')));
    await expect(budget.beforeCall('dear', call())).rejects.toThrow('away');
    expect([execution.committedUsd, execution.takeSpent().promised_usd]).toEqual([0, 0]);
  });
});
