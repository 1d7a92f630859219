import { Injectable } from '@nestjs/common';
import { Periodic } from '../../../platform/schedule/index.js';
import { WorkTrees, type TaskFate } from './work-trees.js';

/** Says of those of the trees `names` that it knows how their work has ended. */
export type FateSource = (names: string[]) => Promise<ReadonlyMap<string, TaskFate>>;

/** Removes what ended work left on this machine's disk, in every process: the trees are on the machine that made them. */
@Injectable()
export class TreeSweeper {
  private readonly sources: FateSource[] = [];
  private sweeping: Promise<void> | null = null;

  constructor(private readonly trees: WorkTrees) {}

  /** Called once by each module whose work has trees, when it is made. */
  serve(source: FateSource): void {
    this.sources.push(source);
  }

  /** One sweep; calls at the same time share it. */
  @Periodic('left-over-trees', ({ pipeline }) => pipeline.reaperSeconds * 1_000)
  sweep(): Promise<void> {
    this.sweeping ??= this.trees.sweep((names) => this.fates(names)).finally(() => (this.sweeping = null));
    return this.sweeping;
  }

  private async fates(names: string[]): Promise<Map<string, TaskFate>> {
    const known = await Promise.all(this.sources.map((source) => source(names)));
    return new Map(known.flatMap((fates) => [...fates]));
  }
}
