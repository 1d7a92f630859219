import { Injectable } from '@nestjs/common';

/** How the module that stores tasks answers for those of a pod. */
export interface PodTasksSource {
  /** Whether a task of the pod has not ended. */
  hasUnfinishedOfPod(podId: string): Promise<boolean>;
  /** Takes the pod off up to `limit` of its ended tasks, which keep its name; tells how many. */
  detachEndedOfPod(podId: string, limit: number): Promise<number>;
}

/** The tasks of pods as pods see them: they are stored by a module above this one, which names itself here. */
@Injectable()
export class PodTasks {
  private source: PodTasksSource | null = null;

  /** Called once, when the module of the source is made. */
  serve(source: PodTasksSource): void {
    this.source = source;
  }

  hasUnfinished(podId: string): Promise<boolean> {
    return this.answering().hasUnfinishedOfPod(podId);
  }

  detachEnded(podId: string, limit: number): Promise<number> {
    return this.answering().detachEndedOfPod(podId, limit);
  }

  private answering(): PodTasksSource {
    if (this.source === null) throw new Error('No module answers for the tasks of pods.');
    return this.source;
  }
}
