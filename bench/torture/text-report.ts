import type { RunResult } from './torture-run.js';
import { quantile } from './recoveries.js';

const MOST_LINES = 20;

/** Whether nothing was lost, doubled or wrong, and the run went to its end. */
export function holds({ findings, wasStopped }: RunResult): boolean {
  const { lost, doubledStages, doubledEffects, wrong } = findings;
  return !wasStopped && lost.length + doubledStages.length + doubledEffects.length + wrong.length === 0;
}

/** The figures of a run, by their names, in the order in which they are told. */
export function figures(result: RunResult): [name: string, value: string][] {
  const { findings, plan, outcomes, recoveries, words, drains } = result;
  const seconds = (ms: number | null): string => (ms === null ? '–' : `${(ms / 1_000).toFixed(1)} s`);
  const spread = (values: readonly number[]): string =>
    `median ${seconds(quantile(values, 0.5))}, 95 % ${seconds(quantile(values, 0.95))}, slowest ${seconds(quantile(values, 1))} (${values.length})`;
  const share = findings.stages === 0 ? 0 : (100 * findings.stagesRunAgain) / findings.stages;
  return [
    ['seed', String(plan.seed)],
    ['submitted', `${outcomes.ok} accepted, ${outcomes.refused} refused, ${outcomes.unknown} unknown`],
    ['finished', String(findings.finished)],
    ['lost', result.wasStopped ? 'not judged' : String(findings.lost.length)],
    ['doubled stage results', String(findings.doubledStages.length)],
    ['doubled effects', String(findings.doubledEffects.length)],
    ['otherwise wrong', String(findings.wrong.length)],
    ['turns', tally(result.turns)],
    ['stages', String(findings.stages)],
    ['stages run again', `${findings.stagesRunAgain} (${share.toFixed(2)} %)`],
    ['refused writes that a worker saw', String(words.refusedWrites)],
    ['runs stopped because their lease was gone', String(words.stoppedRuns)],
    ['starts beyond 90 s', String(words.slowStarts)],
    ['from a kill to the next claim', spread(recoveries.map(({ ms }) => ms))],
    ['from SIGTERM to the end', spread(drains)],
    ['publications approved over a changed file', String(result.approvals)],
    ['drained after the last fault', seconds(result.drainedAt - result.lastFaultAt)],
    ['faults', faultCounts(result)],
    ['faults that found nothing to strike', String(result.missedFaults)],
    ['left out', result.leftOut ?? 'nothing'],
  ];
}

function faultCounts({ struck }: RunResult): string {
  const counts: Record<string, number> = {};
  for (const { kind } of struck) counts[kind] = (counts[kind] ?? 0) + 1;
  return tally(counts);
}

function tally(counts: Record<string, number>): string {
  const told = Object.entries(counts).map(([what, count]) => `${count} ${what}`);
  return told.length === 0 ? 'none' : told.join(', ');
}

/** Everything that was found, each with its kind. */
export function complaints({ findings }: RunResult): string[] {
  const { lost, doubledStages, doubledEffects, wrong } = findings;
  const told = (kind: string, lines: readonly string[]): string[] => lines.map((line) => `${kind}: ${line}`);
  return [
    ...told('lost', lost),
    ...told('doubled stage result', doubledStages),
    ...told('doubled effect', doubledEffects),
    ...told('wrong', wrong),
  ];
}

export function textReport(result: RunResult): string {
  const rows = figures(result).map(([name, value]) => `  ${name}: ${value}`);
  const all = complaints(result);
  const lines = all.slice(0, MOST_LINES).map((line) => `    ${line}`);
  if (all.length > MOST_LINES) lines.push(`    and ${all.length - MOST_LINES} more`);
  const errors = [...result.words.errors].map(([text, count]) => `    ${count} × ${text.slice(0, 1_000)}`);
  if (errors.length > 0) errors.unshift('  errors that workers logged:');
  return [...rows, ...lines, ...errors].join('\n');
}
