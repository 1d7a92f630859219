import { ProtocolError, type Progress } from '@modelcontextprotocol/client';
import type { ToolResult } from '../../tools/index.js';
import type { Redactor } from '../redactor.js';
import type { Session } from '../session.js';
import { isBeforeEffect, isForgottenSession } from '../failure-reason.js';
import { resultText } from './result-text.js';
import { visibleText, type ToolDefinition } from './tool-definition.js';

/** Whom a call goes to: `called` is how its failures name it. */
export interface Callee {
  readonly called: string;
  readonly session: Session;
  readonly words: Redactor;
  /** Looks whether the server is still there, after a call that got no answer. */
  readonly verify: () => void;
}

/** The server has said that it did nothing, since it has forgotten the session. */
export const FORGOTTEN = Symbol('forgotten');

/** Calls a tool; a failure of any other kind is a result that says what is known of it. */
export async function callTool(
  { called, session, words, verify }: Callee,
  tool: ToolDefinition,
  args: Record<string, unknown>,
  signal: AbortSignal,
): Promise<ToolResult | typeof FORGOTTEN> {
  let last: Progress | null = null;
  try {
    const answer = await session.call(tool, args, signal, (progress) => (last = progress));
    return { text: words.hide(resultText(answer)), ...(answer.isError ? { isError: true } : {}) };
  } catch (error) {
    if (signal.aborted) return failed(`${called} did not finish the call.${lastProgress(last, words)}`);
    if (isForgottenSession(error)) return FORGOTTEN;
    if (ProtocolError.isInstance(error)) return failed(`${called} refused the call: ${words.clean(error.message)}.`);
    if (!session.open) {
      const why = session.farewell();
      const ended = words.clean(`${called} ended while it worked on the call${why === '' ? '' : ` (${why})`}.`);
      return failed(ended + lastProgress(last, words));
    }
    verify();
    if (isBeforeEffect(error))
      return failed(`${called} was not reached by the call, so nothing was done: ${words.reason(error)}.`);
    return failed(`${called} did not give an answer: ${words.reason(error)}.${lastProgress(last, words)}`);
  }
}

export function failed(text: string): ToolResult {
  return { text, isError: true };
}

function lastProgress(progress: Progress | null, words: Redactor): string {
  if (progress === null) return '';
  const total = progress.total === undefined ? '' : ` of ${progress.total}`;
  const message = progress.message === undefined ? '' : ` (${visibleText(words.hide(progress.message), 500)})`;
  return ` It last reported the progress ${progress.progress}${total}${message}.`;
}
