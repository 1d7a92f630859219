import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

export interface TortureOptions {
  /** Time during which tasks are submitted and faults strike; what is left then is drained. */
  minutes: number;
  tasks: number;
  workers: number;
  seed: number;
  /** Where the page goes; null makes none. */
  report: string | null;
  /** The mutant to be caught instead of the service; `all` for each of them. */
  mutant: string | null;
}

/** @throws Error that says which option is wrong. */
export function readOptions(args: readonly string[]): TortureOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string' },
      tasks: { type: 'string' },
      workers: { type: 'string' },
      seed: { type: 'string' },
      report: { type: 'string' },
      mutant: { type: 'string' },
    },
  });
  const number = (
    name: 'minutes' | 'tasks' | 'workers' | 'seed',
    usual: number,
    most: number,
    whole = true,
  ): number => {
    const text = values[name];
    if (text === undefined) return usual;
    const value = Number(text);
    const isFit = Number.isFinite(value) && value > 0 && value <= most && (!whole || Number.isInteger(value));
    if (!isFit) throw new Error(`--${name} must be a ${whole ? 'whole ' : ''}number above 0 and at most ${most}`);
    return value;
  };
  const minutes = number('minutes', 2, 24 * 60, false);
  return {
    minutes,
    tasks: number('tasks', Math.max(1, Math.ceil(minutes * 300)), 1_000_000),
    workers: number('workers', Math.max(4, availableParallelism()), 64),
    seed: number('seed', randomInt(1, 1_000_000), 2 ** 31),
    report: values.report ?? null,
    mutant: values.mutant ?? null,
  };
}
