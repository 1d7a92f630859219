import type { PodSelector, PodSnapshot } from './pod.js';

/** Reads and edits pods, and gives tasks their snapshot of one. */
export abstract class PodsService {
  /**
   * The pod that a submission means, with its enabled agents. Locks the pod row `for key share` until the surrounding
   * `Database.transaction` ends, so the pod cannot vanish before the task is inserted; call it inside one.
   * @throws DomainError not_found (unknown pod), pod_disabled, validation_failed (id and name differ), conflict (the pod
   *   has no enabled agent).
   */
  abstract snapshotForTask(selector: PodSelector): Promise<PodSnapshot>;
}
