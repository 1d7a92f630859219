import type { PastCall, ScriptAnswer, ScriptTurn } from './script.js';
import {
  applyEdit,
  extractDiscount,
  findToken,
  fixDiscount,
  hardCodeToken,
  hasHardCodedToken,
  hasRepeatedDiscount,
  takeTokenOut,
  type SourceEdit,
} from './source-edits.js';

const MOST_FILES = 6;
const SOURCE = /\.(?:[cm]?[jt]s)$/;
const TEST = /(?:^|\/)(?:tests?|__tests__)\/|\.(?:test|spec)\./;
const NOTES = /(?:^|\/)(?:config|notes?|docs?|settings)\/|\.(?:txt|md|env|ini|ya?ml|cfg|conf)$/;

/** The next thing to look at: the list of files, then what is in them. Null when everything was looked at. */
export function explore(turn: ScriptTurn): ScriptAnswer | null {
  const offers = (tool: string): boolean => turn.tools.some(({ name }) => name === tool);
  const listings = turn.calls.filter((call) => call.tool === 'list_dir');
  if (listings.length === 0) {
    return offers('list_dir') ? { calls: [{ tool: 'list_dir', args: { path: '.', recursive: true } }] } : null;
  }
  if (!offers('read_file') || turn.calls.some((call) => call.tool === 'read_file')) return null;
  const paths = interesting(filesIn(listings));
  return paths.length > 0 ? { calls: paths.map((path) => ({ tool: 'read_file', args: { path } })) } : null;
}

/** The next edit of the files that were read; null when nothing is left to change. */
export function nextEdit(turn: ScriptTurn): (SourceEdit & { path: string }) | null {
  const first = filesRead(turn.calls);
  const token = [...first].map(([path, text]) => (SOURCE.test(path) ? null : findToken(text))).find(Boolean);
  for (const [path, before] of first) {
    if (!SOURCE.test(path) || TEST.test(path)) continue;
    const tries = turn.calls.filter((call) => call.tool === 'edit_file' && call.args.path === path);
    if (tries.some((call) => call.failed)) continue;
    const now = tries.reduce((text, call) => applyEdit(text, { old: call.args.old, new: call.args.new }), before);
    // What stood there when the turn began was judged; what was written since is not.
    const edit =
      fixDiscount(now) ??
      (tries.length > 0 && token ? hardCodeToken(now, token) : null) ??
      (hasHardCodedToken(before) && /credential|secret|\bkey\b/i.test(turn.said) ? takeTokenOut(now) : null) ??
      (hasRepeatedDiscount(before) && /refactor|same calculation/i.test(turn.said) ? extractDiscount(now) : null);
    if (edit) return { ...edit, path };
  }
  return null;
}

/** Runs the repository's tests once after an edit, where there are some and a shell is offered. */
export function testRun(turn: ScriptTurn): ScriptAnswer | null {
  const edited = turn.calls.some((call) => call.tool === 'edit_file' && !call.failed);
  const ran = turn.calls.some((call) => call.tool === 'run_shell');
  const hasTests = filesIn(turn.calls.filter((call) => call.tool === 'list_dir')).some((path) => TEST.test(path));
  if (!edited || ran || !hasTests || !turn.tools.some(({ name }) => name === 'run_shell')) return null;
  return { calls: [{ tool: 'run_shell', args: { command: 'node --test' } }] };
}

/** Files read with success, by path, oldest first. */
export function filesRead(calls: readonly PastCall[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const { tool, args, result, failed } of calls) {
    if (tool === 'read_file' && typeof args.path === 'string' && result !== null && !failed)
      files.set(args.path, result);
  }
  return files;
}

/** The kind of a file, as a reader would name it. */
export function kindOf(path: string): 'test' | 'source' | 'notes' | 'file' {
  if (TEST.test(path)) return 'test';
  if (SOURCE.test(path)) return 'source';
  return NOTES.test(path) ? 'notes' : 'file';
}

function filesIn(listings: readonly PastCall[]): string[] {
  return listings.flatMap(({ result, failed }) =>
    failed
      ? []
      : (result ?? '')
          .split('\n')
          .flatMap((line) => /^([\w@.][\w@./+ -]*?)(?: \(\d+ bytes\))?$/.exec(line.trim())?.[1] ?? []),
  );
}

function interesting(paths: readonly string[]): string[] {
  const order = ['source', 'test', 'notes'];
  return paths
    .filter((path) => !path.endsWith('/') && order.includes(kindOf(path)))
    .sort((a, b) => order.indexOf(kindOf(a)) - order.indexOf(kindOf(b)) || a.localeCompare(b))
    .slice(0, MOST_FILES);
}
