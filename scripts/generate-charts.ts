// Draws the charts of the documents from their sources: the import graph of the modules from dependency-cruiser, the states
// of a task from the table of legal transitions. `--check` compares instead and fails when a chart has drifted.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import {
  LEGAL_TRANSITIONS,
  RUNNING_STATUSES,
  TASK_STATUSES,
  TERMINAL_STATUSES,
} from '../src/modules/pipeline/rules/task-status.js';

type Graph = Map<string, Set<string>>;

/** The words beside the arrows; every arrow that the table knows needs an entry, null for none. */
const REASONS: Readonly<Record<string, string | null>> = {
  'queued > running': 'claim',
  'queued > completing': 'claim',
  'queued > cancelled': 'cancel',
  'running > running': 'next stage, loop',
  'running > queued': 'retry, snooze, release, reap',
  'running > completing': 'last gate passed, files to publish',
  'running > complete': 'last gate passed',
  'running > pending_human_review': 'gate',
  'running > failed': 'dead letter, abort',
  'running > cancelled': 'cancel',
  'completing > complete': 'published',
  'completing > queued': 'release, reap',
  'completing > pending_human_review': 'publish conflict',
  'completing > failed': 'dead letter',
  'completing > cancelled': 'cancel',
  'pending_human_review > queued': 'approve',
  'pending_human_review > cancelled': 'reject, cancel',
  'failed > queued': 'requeue of a dead letter',
};

const CHARTS = [
  {
    file: 'docs/architecture.md',
    name: 'modules',
    draw: () => flowchart(imports('^src/modules', '^src/modules/[^/]+')),
  },
  {
    file: 'docs/architecture.md',
    name: 'pipeline',
    draw: () => flowchart(imports('^src/modules/pipeline/[^/]+/', '^src/modules/pipeline/[^/]+')),
  },
  { file: 'docs/pipeline.md', name: 'states', draw: stateChart },
];

/** Which folder imports which, by the names of the folders. */
function imports(only: string, collapse: string): Graph {
  const options = ['--config', '.dependency-cruiser.mjs', '--include-only', only, '--collapse', collapse];
  const output = execFileSync('npx', ['depcruise', 'src', ...options, '--output-type', 'json'], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const { modules } = JSON.parse(output) as { modules: { source: string; dependencies: { resolved: string }[] }[] };
  const nameOf = (path: string): string => path.split('/').at(-1) ?? path;
  const graph: Graph = new Map();
  for (const { source, dependencies } of modules) {
    const to = dependencies.map(({ resolved }) => nameOf(resolved)).filter((name) => name !== nameOf(source));
    graph.set(nameOf(source), new Set(to));
  }
  return graph;
}

function flowchart(graph: Graph): string {
  const arrows = [...graph].flatMap(([from, targets]) => [...targets].map((to) => `  ${from} --> ${to}`));
  return ['flowchart TB', ...arrows.sort()].join('\n');
}

/** The table of legal transitions; the statuses of running stages are one state. */
function stateChart(): string {
  const stateOf = (status: string): string =>
    (RUNNING_STATUSES as readonly string[]).includes(status) ? 'running' : status;
  const arrows = new Set(
    TASK_STATUSES.flatMap((from) => LEGAL_TRANSITIONS[from].map((to) => `${stateOf(from)} > ${stateOf(to)}`)),
  );
  const lines = [...arrows].map((arrow) => {
    const reason = REASONS[arrow];
    if (reason === undefined) throw new Error(`scripts/generate-charts.ts has no words for ${arrow}`);
    return `  ${arrow.replace('>', '-->')}${reason === null ? '' : `: ${reason}`}`;
  });
  const ends = TERMINAL_STATUSES.map((status) => `  ${status} --> [*]`);
  return ['stateDiagram-v2', '  [*] --> queued', ...lines, ...ends].join('\n');
}

for (const { file, name, draw } of CHARTS) {
  const text = readFileSync(file, 'utf8');
  const place = new RegExp(`(<!-- chart ${name}: npm run generate:charts -->\n\n\`\`\`mermaid\n)[^\`]*(\n\`\`\`)`);
  if (!place.test(text)) throw new Error(`${file} has no place for the chart ${name}`);
  const drawn = text.replace(place, (_, head: string, tail: string) => `${head}${draw()}${tail}`);
  if (drawn === text) continue;
  if (!process.argv.includes('--check')) writeFileSync(file, drawn);
  else {
    process.stderr.write(`The chart ${name} in ${file} differs from its source; run \`npm run generate:charts\`.\n`);
    process.exitCode = 1;
  }
}
