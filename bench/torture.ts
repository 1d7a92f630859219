/**
 * Tasks over HTTP through workers that are killed, frozen beyond their leases and told to end, while Redis is emptied and
 * killed, PostgreSQL crashes, connections fail, models fail and the disk is full or unwritable. The faults follow from a seed.
 * A judge that knows only the client's log, the model's log, the workspace and tables of its own says whether each accepted
 * task ended once, each stage was stored once and each file was published once. Exits 0 only then.
 *
 *   npm run torture
 *   npm run torture -- --minutes=15 --tasks=10000 --workers=4 --seed=7 --report=torture.html
 *
 * With `--mutant=all`, or the name of one, it tortures copies of the service that lack one protection each, and exits 0 only
 * where each of them is caught.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { htmlReport } from './torture/html-report.js';
import { readOptions } from './torture/options.js';
import { raceMigrators } from './torture/migrator-race.js';
import { catchMutant, mutantsNamed } from './torture/mutant-run.js';
import { ProgressLine } from './torture/progress-line.js';
import { EVERY_FAULT } from './torture/schedule.js';
import { runApart } from './torture/small-disk.js';
import { holds, textReport } from './torture/text-report.js';
import { torture, type RunPlan } from './torture/torture-run.js';
import { versions } from './torture/versions.js';

const options = readOptions(process.argv.slice(2));
const mutants = options.mutant === null ? [] : mutantsNamed(options.mutant);
const code = (await runApart()) ?? (await main());
process.exit(code);

async function main(): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // The second one is meant: the children and the folders of a process that ends go with it.
      if (stop.signal.aborted) process.exit(130);
      process.stderr.write('\nStopping; once more to stop at once.\n');
      stop.abort();
    });
  }
  return mutants.length > 0 ? tortureMutants(stop.signal) : tortureService(stop.signal);
}

async function tortureMutants(stop: AbortSignal): Promise<number> {
  console.log(`mutants, seed ${options.seed}`);
  let missed = 0;
  for (const mutant of mutants) {
    if (stop.aborted) return 1;
    const { isCaught, words, seconds } = await catchMutant(mutant, options.seed, stop);
    if (!isCaught) missed += 1;
    console.log(`${isCaught ? 'caught' : 'MISSED'}: ${mutant.name} (${seconds} s): ${words}`);
  }
  return missed === 0 ? 0 : 1;
}

async function tortureService(stop: AbortSignal): Promise<number> {
  const plan: RunPlan = {
    tasks: options.tasks,
    turns: Math.ceil(options.tasks / 10),
    seconds: Math.round(options.minutes * 60),
    workers: options.workers,
    seed: options.seed,
    weights: EVERY_FAULT,
    everyMs: 700,
    answersMs: [5, 60],
    drainSeconds: 1_200,
  };
  const versionsBefore = versions();
  console.log(`torture: ${plan.tasks} tasks, ${plan.workers} workers, ${plan.seconds} s of faults, seed ${plan.seed}`);
  const progress = new ProgressLine(plan);
  const result = await torture(plan, stop, (sample) => progress.tell(sample));
  progress.end();
  if (!stop.aborted) result.findings.wrong.push(...(await raceMigrators(join(import.meta.dirname, '../dist'))));
  console.log(textReport(result));
  if (options.report !== null)
    await writeFile(
      options.report,
      htmlReport(result, [...versionsBefore, ['PostgreSQL', `${result.postgresVersion} (embedded, fsync on)`]]),
    );
  const isGood = holds(result);
  console.log(
    isGood ? 'nothing lost, nothing twice' : result.wasStopped ? 'stopped before its end' : 'faults were found',
  );
  return isGood ? 0 : 1;
}
