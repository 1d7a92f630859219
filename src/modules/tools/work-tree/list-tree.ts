import type { GitUser } from '../../../config/index.js';
import { OpenFolder } from './open-folder.js';
import { openRepository } from './repository.js';
import { TreeBudget, type TreeLimits } from './tree-budget.js';
import { workingFilesOf, WorkspaceWalk } from './walk-workspace.js';

export interface ListOrder {
  workspace: string;
  /** A folder to work in, which is left empty. */
  scratch: string;
  limits: TreeLimits;
  /** Whose rules of what is ignored hold beside those of a repository. */
  user: GitUser;
}

/**
 * The paths that a tree would be filled with now, with NUL between them; null where that is every file. Runs in a worker thread.
 * @throws DomainError `workspace_too_large`, `workspace_unreadable`.
 */
export function listTree({ workspace, scratch, limits, user }: ListOrder): string | null {
  const from = OpenFolder.root(workspace);
  try {
    const repository = openRepository(from);
    try {
      const working = repository === null ? null : workingFilesOf(from, repository, scratch, limits, user);
      const walk = new WorkspaceWalk(scratch, limits, user, working);
      const budget = new TreeBudget(limits);
      const paths: string[] = [];
      walk.run(from, {
        folder: () => undefined,
        file: (_, path) => {
          paths.push(path);
          budget.charge(0);
        },
      });
      return repository === null && !walk.metRepositories ? null : paths.join('\0');
    } finally {
      repository?.close();
    }
  } finally {
    from.close();
  }
}
