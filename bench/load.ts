/** Runs `work` `count` times, `atOnce` at a time; milliseconds of each. */
export async function closedLoop(count: number, atOnce: number, work: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const started = performance.now();
      await work();
      times.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return times;
}

/** The value that `share` of `values` do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function percentiles(times: readonly number[]): { p50: number; p99: number } {
  return { p50: median(times), p99: quantile(times, 0.99) };
}
