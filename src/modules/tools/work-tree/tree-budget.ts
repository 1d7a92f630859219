import { DomainError } from '../../../platform/errors/index.js';

export interface TreeLimits {
  readonly files: number;
  readonly bytes: number;
}

/** Counts what a walk takes in against the limits of a work tree. */
export class TreeBudget {
  private files = 0;
  private bytes = 0;

  constructor(private readonly limits: TreeLimits) {}

  /** Counts one file of `bytes`. @throws DomainError `workspace_too_large`. */
  charge(bytes: number): void {
    this.files++;
    this.grow(bytes);
    if (this.files > this.limits.files) this.refuse(`${this.limits.files} files`);
  }

  /** Counts bytes alone. @throws DomainError `workspace_too_large`. */
  grow(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes > this.limits.bytes) this.refuse(`${Math.floor(this.limits.bytes / 1024 / 1024)} MiB`);
  }

  private refuse(limit: string): never {
    throw new DomainError(
      'workspace_too_large',
      `The workspace holds more than ${limit}, which is more than a task may work on.`,
    );
  }
}
