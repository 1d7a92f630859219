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

/** What the task agent delivered last. */
export function outputData(input: StageInput): DataBlock[] {
  const task = input.earlier.task;
  return task === undefined ? [] : [{ name: 'output', text: task.output }];
}

/** What the task agent says of its work; none where it said nothing. */
export function explanationData({ earlier }: StageInput): DataBlock[] {
  return earlier.task?.explanation ? [{ name: 'explanation', text: earlier.task.explanation }] : [];
}

/** The work that is judged: its text, the account of it, and the files. A judge is shown all of it, in pieces if need be. */
export function workData(input: StageInput): DataBlock[] {
  return [...outputData(input), ...explanationData(input), ...diffData(input.diff)].map((block) => ({
    ...block,
    isWork: true,
  }));
}

/** The difference of the work tree, and what of it is not shown. */
export function diffData(diff: StageDiff | null): DataBlock[] {
  if (diff === null) return [];
  if (diff.files.length === 0) return [{ name: 'diff', text: '(no file was changed)' }];
  const hidden = list(
    'Changed files whose content is not shown',
    diff.notShown.map(({ path, reason }) => `${path.replace(/[\r\n]+/g, ' ')} (${reason})`),
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
