import type { PodAgentRow } from '../../../platform/database/index.js';
import { filesRead, kindOf } from './demo-work.js';
import { SCRIPTED, type ScriptTurn } from './script.js';
import { fitToSchema } from './schema-value.js';
import { hasWrongDiscount } from './source-edits.js';

/** What the reviewer complains of; it never does so twice. */
const REPEATED = 'The same calculation stands in two places; extract it into one function.';

/** By the name of a stage's schema: a stage of any role has its answer. */
type StageSchemaName = `${PodAgentRow['role']}_output`;

const ANSWERS: Readonly<Record<StageSchemaName, (turn: ScriptTurn) => Record<string, unknown>>> = {
  context_output: contextOutput,
  task_output: taskOutput,
  guardrail_output: () => ({
    blocked: false,
    findings: [],
    summary: `${SCRIPTED} Nothing to add to what the deterministic rules found.`,
  }),
  code_review_output: reviewOutput,
  decision_output: () => ({
    action: 'escalate',
    reasoning: `${SCRIPTED} A script does not overrule a guardrail or a reviewer.`,
    adr: `# ${SCRIPTED} Leave the decision to a person\n\n## Context\n\nThe work was flagged.\n\n## Decision\n\nEscalate.\n\n## Consequences\n\nA person decides.`,
    escalation_message: `${SCRIPTED} The work was flagged and needs a person's decision.`,
  }),
};

/** An answer of the schema that was asked for, whatever it is. */
export function structuredAnswer(turn: ScriptTurn): unknown {
  const { name, schema } = turn.schema ?? { name: '', schema: {} };
  const wish = Object.hasOwn(ANSWERS, name) ? ANSWERS[name as StageSchemaName](turn) : undefined;
  return fitToSchema(schema, wish, echo(turn));
}

/** The request, repeated with the label. */
export function echo(turn: ScriptTurn): string {
  // Where an answer is asked for in a given form, the last words only ask for that form.
  const request = (turn.schema ? turn.opening : turn.request).trim().slice(0, 1_000);
  return `${SCRIPTED} You asked: ${request || '(nothing)'}`;
}

/** What was done, for people. */
export function workSummary(turn: ScriptTurn): string {
  const edits = editsOf(turn);
  const files = [...filesRead(turn.allCalls).keys()];
  if (edits.length > 0) {
    return `${SCRIPTED} Changed ${[...new Set(edits.map((edit) => edit.path))].join(', ')} in ${edits.length} edit(s).${shellSummary(turn)}`;
  }
  if (files.length > 0) return `${SCRIPTED} Read ${files.join(', ')} and found nothing to change.`;
  return `${echo(turn)}\n\nThis answer comes from the scripted model in the box. Configure a provider to get a model's.`;
}

function contextOutput(turn: ScriptTurn): Record<string, unknown> {
  const files = filesRead(turn.allCalls);
  // Files are described, never quoted: whatever secrets they hold stay in them.
  const described = [...files].map(([path, text]) => {
    const bug = kindOf(path) === 'source' && hasWrongDiscount(text) ? '; it takes a percentage for a fraction' : '';
    return `${path}: ${kindOf(path)}, ${text.split('\n').length} lines${bug}`;
  });
  return {
    curated_context: `${SCRIPTED} ${described.length > 0 ? described.join('\n') : 'The workspace holds nothing that was read.'}`,
    relevant_files: [...files.keys()],
    key_patterns: [...new Set([...files.keys()].map((path) => `${kindOf(path)} files`))],
    recommendations: `${SCRIPTED} Keep the change small and run the tests after it.`,
  };
}

function taskOutput(turn: ScriptTurn): Record<string, unknown> {
  const edits = editsOf(turn);
  return {
    output: workSummary(turn),
    files_changed: [...new Set(edits.map((edit) => edit.path))],
    explanation: `${SCRIPTED} ${edits.length > 0 ? `${edits.length} edit(s), each of one passage.` : 'No file had to be changed.'}`,
    commands_run: turn.allCalls.flatMap(({ tool, args }) =>
      tool === 'run_shell' && typeof args.command === 'string' ? [args.command] : [],
    ),
  };
}

function reviewOutput(turn: ScriptTurn): Record<string, unknown> {
  const file = repeatedIn(turn.said);
  if (file === null || turn.said.includes(REPEATED)) {
    return { verdict: 'pass', issues: [], summary: `${SCRIPTED} Nothing to object to.` };
  }
  return {
    verdict: 'needs_refactor',
    issues: [
      { severity: 'medium', description: REPEATED, file, line: null, suggestion: 'Extract a function and call it.' },
    ],
    summary: `${SCRIPTED} ${REPEATED}`,
  };
}

/** The file of a diff in `text` to which two lines of the same shape were added; names do not count. Null when none. */
function repeatedIn(text: string): string | null {
  let file = '';
  const seen = new Set<string>();
  for (const line of text.replaceAll('\\n', '\n').split('\n')) {
    const header = /^\+\+\+ (?:b\/)?(\S+)/.exec(line);
    if (header) {
      file = header[1] ?? '';
      seen.clear();
      continue;
    }
    const calculation = /^\+\s+return (.*[-+*/].*);$/.exec(line)?.[1];
    if (!calculation) continue;
    const shape = shapeOf(calculation);
    if (seen.has(shape)) return file;
    seen.add(shape);
  }
  return null;
}

/** `expression` with its names replaced by the order of their first appearance. */
function shapeOf(expression: string): string {
  const names: string[] = [];
  return expression.replace(/\b[a-z_]\w*\b(?!\()/gi, (name) => {
    if (!names.includes(name)) names.push(name);
    return `$${names.indexOf(name)}`;
  });
}

function editsOf(turn: ScriptTurn): { path: string }[] {
  return turn.allCalls.flatMap(({ tool, args, failed, result }) =>
    tool === 'edit_file' && !failed && result !== null && typeof args.path === 'string' ? [{ path: args.path }] : [],
  );
}

function shellSummary(turn: ScriptTurn): string {
  const run = turn.allCalls.findLast(({ tool }) => tool === 'run_shell');
  if (!run) return '';
  return run.failed ? ' The tests did not run clean.' : ' The tests were run.';
}
