/** The tasks of a run: what the one with a given tag asks for, and what must come of it. */

const ROLES = ['context', 'task', 'guardrail', 'code_review'] as const;

/** Iterations that the task of `tag` takes. */
export function iterationsOf(tag: number): number {
  return tag % 10 === 3 || tag % 10 === 7 ? 2 : 1;
}

/** Whether the task of `tag` writes a file, and so has a work tree, a journal and something to publish. */
export function writes(tag: number): boolean {
  return tag % 5 === 0;
}

/** Whether the owner of the workspace makes the same file meanwhile, so that publishing it is a conflict for a person. */
export function isContested(tag: number): boolean {
  return tag % 25 === 10;
}

/** The folder of the workspace that the files are in. */
export const MADE = 'made';

/** The path and content of that file. */
export function fileOf(tag: number): { path: string; content: string } {
  return { path: `${MADE}/${tag}.txt`, content: `made by the task with the tag ${tag}` };
}

/** What the owner writes at the path of a contested file. */
export function ownersContent(tag: number): string {
  return `written by the owner while the task with the tag ${tag} was at work`;
}

/** The request that carries `tag` through all prompts. */
export function requestOf(tag: number): string {
  return `Do the work with the tag-${tag}.`;
}

/** `role iteration` of each stage that the task of `tag` goes through. */
export function expectedStages(tag: number): string[] {
  const loops = ['task', 'guardrail', 'code_review'];
  const later = Array.from({ length: iterationsOf(tag) - 1 }, (_, index) =>
    loops.map((role) => `${role} ${index + 2}`),
  );
  return [...ROLES.map((role) => `${role} 1`), ...later.flat()];
}

/** The message that carries `tag` into a turn. */
export function turnRequest(tag: number): string {
  return `Tell the story of turn-${tag}.`;
}

/** What the model says in that turn, piece by piece. */
export function turnWords(tag: number): string[] {
  return Array.from({ length: 12 }, (_, index) => `piece ${index} of the story ${tag}. `);
}
