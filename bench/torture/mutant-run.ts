import { mutated, MUTANTS, type Mutant } from './mutants.js';
import { raceMigrators } from './migrator-race.js';
import { complaints } from './text-report.js';
import { torture, type Sample } from './torture-run.js';

export interface Catch {
  mutant: string;
  isCaught: boolean;
  /** The first complaint that shows it; else how many others there were. */
  words: string;
  seconds: number;
}

/** The mutants of a name; `all` is each of them. @throws Error that lists the names. */
export function mutantsNamed(name: string): readonly Mutant[] {
  const found = name === 'all' ? MUTANTS : MUTANTS.filter((mutant) => mutant.name === name);
  if (found.length > 0) return found;
  throw new Error(`--mutant must be all or one of ${MUTANTS.map((mutant) => mutant.name).join(', ')}`);
}

/** Tortures the mutant and tells whether the judge sees it. */
export async function catchMutant(
  mutant: Mutant,
  seed: number,
  signal: AbortSignal,
  onSample: (sample: Sample) => void = () => undefined,
): Promise<Catch> {
  const begun = performance.now();
  const { main, dist, folder } = mutated(mutant);
  try {
    const all =
      mutant.caughtBy === 'migrators'
        ? await raceMigrators(dist)
        : complaints(await torture({ ...mutant.caughtBy, seed, main }, signal, onSample));
    const shown = all.find((line) => mutant.says.test(line));
    return {
      mutant: mutant.name,
      isCaught: shown !== undefined,
      words: shown ?? `${all.length} other complaints: ${all.slice(0, 3).join('; ')}`,
      seconds: Math.round((performance.now() - begun) / 1_000),
    };
  } finally {
    folder.remove();
  }
}
