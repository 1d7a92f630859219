import { DomainError } from '../../../platform/errors/index.js';

export interface TreeLimits {
  readonly files: number;
  readonly bytes: number;
}

/** Counts what a walk takes in against the limits of a work tree. */
export class TreeBudget {
  private files = 0;
  private bytes = 0;

  constructor(
    private readonly limits: TreeLimits,
    private readonly of: 'workspace' | 'work tree' = 'workspace',
  ) {}

  /** Counts one file of `bytes`. @throws DomainError `workspace_too_large`. */
  charge(bytes: number): void {
    this.files++;
    this.grow(bytes);
    if (this.files > this.limits.files) this.refuse(`${this.limits.files} files`, 'TREE_MAX_FILES');
  }

  /** Counts bytes alone. @throws DomainError `workspace_too_large`. */
  grow(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes > this.limits.bytes) {
      this.refuse(`${Math.floor(this.limits.bytes / 1024 / 1024)} MiB`, 'TREE_MAX_MIB');
    }
  }

  private refuse(limit: string, setting: string): never {
    const remedy = `Ignore what is not worked on (.gitignore in a repository), or raise ${setting}.`;
    throw new DomainError(
      'workspace_too_large',
      this.of === 'workspace'
        ? `The workspace holds more than ${limit}, which is more than a task may work on. ${remedy}`
        : `The task's work tree has grown to more than ${limit}, twice what a workspace may hold. ${remedy}`,
    );
  }
}
