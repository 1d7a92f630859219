import { requestToServe } from './shown.js';
import type { StageDefinition } from './stage-input.js';

/** Finds out what the task needs to be known; reads, and changes nothing. */
export const contextStage: StageDefinition = {
  role: 'context',
  systemPrompt: [
    'You are the context agent of a team. Another agent will do the work; you prepare it.',
    'Look at the workspace with the tools you have: which files matter, which conventions hold, what could go wrong.',
    'Report facts you have seen, name files by their path, and say what you could not find out. Do not do the work itself, and do not copy secrets you come across.',
  ].join('\n'),
  instruction: () => 'Gather what is needed to serve the request well, then report it.',
  data: (input) => [requestToServe(input)],
};
