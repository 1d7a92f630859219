import { complaints, figures, holds } from './text-report.js';
import { timeline } from './timeline.js';
import type { RunResult } from './torture-run.js';

const MOST_LINES = 500;

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --rule: #d5dae0; --good: #1a7f37; --bad: #c62f2f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14181d; --rule: #39414a; --good: #4fc26b; --bad: #ff7b72; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1200px; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: .2rem; } .good { color: var(--good); } .bad { color: var(--bad); }
table { border-collapse: collapse; margin: 1rem 0; } td { padding: .15rem 1.5rem .15rem 0; vertical-align: top; border-bottom: 1px solid var(--rule); }
td:first-child { white-space: nowrap; } li { overflow-wrap: anywhere; }
svg { width: 100%; height: auto; font-size: 11px; } svg text { fill: var(--ink); }
.rule { stroke: var(--rule); } .grid { stroke: var(--rule); stroke-dasharray: 2 4; }
.worker { fill: #d1495b; } .connections { fill: #8e6bbf; } .redis { fill: #e07a1f; } .postgres { fill: #2a6fbb; } .model { fill: #b8860b; } .disk { fill: #6b7280; }
.life-up { fill: #4fae6a; } .life-starting { fill: #e6c65c; } .life-paused { fill: #d1495b; } .life-leaving { fill: #9aa3ad; }
.curve { fill: none; stroke-width: 1.6; } .curve.submitted { stroke: #8a939c; } .curve.finished { stroke: #2f9e4f; } .curve.running { stroke: #2a6fbb; stroke-width: 1; }
svg .word.submitted { fill: #8a939c; } svg .word.finished { fill: #2f9e4f; } svg .word.running { fill: #2a6fbb; } .recovery { fill: #2a6fbb; fill-opacity: .6; }`;

/** The report as one page that needs nothing but itself. */
export function htmlReport(result: RunResult, versions: readonly [string, string][]): string {
  const isGood = holds(result);
  const all = complaints(result);
  const table = (rows: readonly [string, string][]): string =>
    `<table>${rows.map(([name, value]) => `<tr><td>${escaped(name)}</td><td>${escaped(value)}</td></tr>`).join('\n')}</table>`;
  const list = all
    .slice(0, MOST_LINES)
    .map((line) => `<li>${escaped(line)}</li>`)
    .join('\n');
  const more = all.length > MOST_LINES ? `<p>and ${all.length - MOST_LINES} more</p>` : '';
  const errors = [...result.words.errors].map(([text, count]) => `<li>${count} × ${escaped(text)}</li>`).join('\n');
  const at = new Date(result.beginAt).toISOString();
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Torture run, seed ${result.plan.seed}</title>
<style>${STYLE}</style>
<h1>Torture run: <span class="${isGood ? 'good' : 'bad'}">${isGood ? 'nothing lost, nothing twice' : verdict(result)}</span></h1>
<p>${result.plan.tasks} tasks, ${result.plan.workers} workers, ${result.plan.seconds} s of faults, seed ${result.plan.seed}, begun ${at}</p>
${table(figures(result))}
${all.length > 0 ? `<h2>What was found</h2><ul>${list}</ul>${more}` : ''}
<h2>Faults and recoveries</h2>
${timeline(result)}
${errors === '' ? '' : `<h2>Errors that workers logged</h2><ul>${errors}</ul>`}
<h2>What it ran on</h2>
${table(versions)}
</html>
`;
}

function verdict({ wasStopped }: RunResult): string {
  return wasStopped ? 'stopped before its end' : 'faults were found';
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
