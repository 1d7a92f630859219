import type { DataBlock, StageDiff, StageFeedback, StageInput } from './stage-input.js';

/** The request as the person wrote it, for the agents that work on it. */
export function requestToServe(input: StageInput): DataBlock {
  return { name: 'request', text: input.request, verbatim: true };
}

/** The request for the agents that judge the work. */
export function requestToJudgeBy(input: StageInput): DataBlock {
  return { name: 'request', text: input.request };
}

export function contextData(input: StageInput): DataBlock[] {
  const context = input.earlier.context;
  if (context === undefined) return [];
  const text = [
    context.curated_context,
    list('Relevant files', context.relevant_files),
    list('Patterns to keep', context.key_patterns),
    context.recommendations === '' ? '' : `Recommendations:\n${context.recommendations}`,
  ];
  return [{ name: 'context', text: text.filter((part) => part !== '').join('\n\n') }];
}

/** What the task agent delivered last, without its account of itself. */
export function outputData(input: StageInput): DataBlock[] {
  const task = input.earlier.task;
  return task === undefined ? [] : [{ name: 'output', text: task.output }];
}

/** The difference of the work tree, and what of it is not shown. */
export function diffData(diff: StageDiff | null): DataBlock[] {
  if (diff === null) return [];
  if (diff.files.length === 0) return [{ name: 'diff', text: '(no file was changed)' }];
  const hidden = list(
    'Changed files whose content is not shown',
    diff.notShown.map(({ path, reason }) => `${path} (${reason})`),
  );
  return [{ name: 'diff', text: hidden === '' ? diff.text : `${hidden}\n\n${diff.text}` }];
}

/** Verdicts in words, oldest first; empty for none. */
export function feedbackData(name: string, feedback: readonly StageFeedback[]): DataBlock[] {
  if (feedback.length === 0) return [];
  const text = feedback.map(({ iteration, source, summary, findings, issues }) =>
    [
      `${source} on iteration ${iteration}: ${summary}`,
      ...findings.map(
        ({ type, severity, description, evidence }) => `- ${type} (${severity}): ${description} Evidence: ${evidence}`,
      ),
      ...issues.map(({ severity, description, file, line, suggestion }) => {
        const place = file ? ` [${file}${line ? `:${line}` : ''}]` : '';
        return `- ${severity}${place}: ${description}${suggestion ? ` Suggestion: ${suggestion}` : ''}`;
      }),
    ].join('\n'),
  );
  return [{ name, text: text.join('\n\n') }];
}

function list(title: string, items: readonly string[]): string {
  return items.length === 0 ? '' : `${title}:\n${items.map((item) => `- ${item}`).join('\n')}`;
}
