import type { PodRole } from '../modules/pods/index.js';
import type { Api } from './api.js';
import type { Narrator } from './narrator.js';

/** The demo's account of a role's stages. */
interface RoleAccount {
  saw(feedback: number): string;
  /** Tells how a stage ended; gives the number of pieces of feedback. Null: its cost says enough. */
  tell: ((api: Api, taskId: string, iteration: number, narrator: Narrator) => Promise<number>) | null;
}

export const ROLE_ACCOUNTS: Readonly<Record<PodRole, RoleAccount>> = {
  context: {
    saw: () => 'the request; it may read the workspace',
    tell: async (api, taskId, _iteration, narrator) => {
      const { context } = (await api.task(taskId)).checkpoint;
      const files = Array.isArray(context?.relevant_files) ? context.relevant_files.join(', ') : '';
      narrator.detail(`decided: these files matter: ${files || 'none'}`);
      return 0;
    },
  },
  task: {
    saw: (feedback) =>
      feedback === 0
        ? 'the request and the context; it may change files in its own work tree'
        : `the request, the context and ${feedback} piece(s) of feedback`,
    tell: null,
  },
  guardrail: {
    saw: () => 'the request, the answer and the diff of the work tree; rules first, then the model',
    tell: async (api, taskId, iteration, narrator) => {
      const findings = (await api.findings(taskId)).filter((finding) => finding.iteration === iteration);
      for (const finding of findings) narrator.finding(finding);
      if (findings.length === 0) narrator.detail('decided: nothing to block');
      return findings.length;
    },
  },
  code_review: {
    saw: () => 'the request, the answer and the diff of the work tree',
    tell: async (api, taskId, iteration, narrator) => {
      const review = (await api.reviews(taskId)).find((candidate) => candidate.iteration === iteration);
      if (review) narrator.review(review);
      return review?.issues.length ?? 0;
    },
  },
  decision: { saw: () => 'everything so far', tell: null },
};
