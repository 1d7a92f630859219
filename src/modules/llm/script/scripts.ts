import { explore, nextEdit, testRun } from './demo-work.js';
import { echo, structuredAnswer, workSummary } from './demo-answers.js';
import { fitToSchema } from './schema-value.js';
import { SCRIPTED, type Script, type ScriptAnswer, type ScriptTurn } from './script.js';

const ASKS_FOR_WORK = /\b(?:fix|repair|correct|bug|implement|refactor|change|edit|discount)\b/i;
const ASKS_TO_LOOK = /\b(?:files?|folder|code|repository|repo|workspace|source|project|analy[sz]e|context)\b/i;

/**
 * The demo's model. With tools and a request for work it explores, edits and tests; then it gives a valid answer of the
 * schema it was told, or words where it was told none.
 *
 * The repository it knows how to work on is a small ES module package with
 * - a source file with two exported functions that each `return x - x * percent;` where a percentage is meant (it divides
 *   by 100 and rounds),
 * - tests in `test/` that `node --test` runs,
 * - a notes or config file (`config/provider.txt`, any `.txt`, `.md`, `.env`, `.yml`, …) with a token of a well-known
 *   provider's shape. It writes that token into the source; once told of a credential it reads it from the environment;
 *   once told of the repetition it extracts a function.
 * A repository without these leaves it nothing to do, and it says so.
 */
function demo(turn: ScriptTurn): ScriptAnswer {
  return (turn.tools.length > 0 ? work(turn) : null) ?? finalAnswer(turn);
}

/** The next tool call; null when there is nothing to do or nothing is left to do. */
function work(turn: ScriptTurn): ScriptAnswer | null {
  const asked = turn.request;
  if (!ASKS_FOR_WORK.test(asked) && !ASKS_TO_LOOK.test(asked)) return null;
  const look = explore(turn);
  if (look) return look;
  const edit = turn.tools.some(({ name }) => name === 'edit_file') && ASKS_FOR_WORK.test(asked) ? nextEdit(turn) : null;
  if (edit) return { calls: [{ tool: 'edit_file', args: { path: edit.path, old: edit.old, new: edit.new } }] };
  return testRun(turn);
}

function finalAnswer(turn: ScriptTurn): ScriptAnswer {
  return turn.schema ? { json: structuredAnswer(turn) } : { text: workSummary(turn) };
}

/** Calls the first offered tool as long as it may, each time with other arguments. */
function toolsForever(turn: ScriptTurn): ScriptAnswer {
  const [tool] = turn.tools;
  if (!tool) return { text: `${SCRIPTED} No tool is left to call.` };
  return {
    calls: [
      {
        tool: tool.name,
        args: fitToSchema(tool.inputSchema, {}, `round ${turn.allCalls.length + 1}`) as Record<string, unknown>,
      },
    ],
  };
}

/** The scripts by name, addressed as `script/<name>`. */
export const SCRIPTS: Readonly<Record<string, Script>> = {
  demo,
  /** Repeats the request; JSON of the schema where one is asked for. */
  echo: (turn) =>
    turn.schema ? { json: fitToSchema(turn.schema.schema, undefined, echo(turn)) } : { text: echo(turn) },
  'tools-forever': toolsForever,
  /** Prose whatever is asked for, JSON too. */
  prose: () => ({ text: `${SCRIPTED} This is prose and nothing else.` }),
  /** Nothing at all. */
  empty: () => ({ text: '' }),
  /** A word or two every tenth of a second for half a minute; ends at once when aborted. */
  slow: () => ({ text: `${SCRIPTED} ${'and on it goes '.repeat(480)}`, pauseMs: 100 }),
};
