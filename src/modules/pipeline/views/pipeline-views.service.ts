import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { DomainError } from '../../../platform/errors/index.js';
import type { Page, PageRequest } from '../../../platform/paging/index.js';
import { visibleOwners, type Principal } from '../../auth/index.js';
import { mayReview } from '../rules/review-rights.js';
import {
  TaskPartsRepository,
  type ArtifactView,
  type FindingView,
  type ReviewView,
  type StageView,
} from './task-parts.repository.js';
import { TaskViewsRepository, type TaskAccess } from './task-views.repository.js';
import type { TaskFilter } from '../store/task-filter.repository.js';
import type { TaskDetailView, TaskView } from './task-view.js';

/**
 * What a caller sees of tasks. A task that belongs to somebody else does not exist for the caller.
 * Methods that take a task's id throw DomainError `not_found`.
 */
@Injectable()
export class PipelineViews {
  constructor(
    private readonly config: AppConfig,
    private readonly tasks: TaskViewsRepository,
    private readonly parts: TaskPartsRepository,
  ) {}

  list(principal: Principal, filter: TaskFilter, page: PageRequest): Promise<Page<TaskView>> {
    return this.tasks.list(this.ownersFor(principal), filter, page);
  }

  async get(principal: Principal, id: string): Promise<TaskDetailView> {
    const access = await this.access(principal, id);
    const task = await this.tasks.find(id, this.ownersFor(principal), mayReview(principal, access));
    if (task === null) throw DomainError.notFound('task', id);
    return task;
  }

  async findings(principal: Principal, id: string, page: PageRequest): Promise<Page<FindingView>> {
    await this.access(principal, id);
    return this.parts.findings(id, page);
  }

  async reviews(principal: Principal, id: string, page: PageRequest): Promise<Page<ReviewView>> {
    await this.access(principal, id);
    return this.parts.reviews(id, page);
  }

  async stages(principal: Principal, id: string, page: PageRequest): Promise<Page<StageView>> {
    await this.access(principal, id);
    return this.parts.stages(id, page);
  }

  /** Work that waits for a person's word is shown to those who may give it. */
  async artifacts(principal: Principal, id: string, page: PageRequest): Promise<Page<ArtifactView>> {
    const access = await this.access(principal, id);
    return this.parts.artifacts(id, mayReview(principal, access), page);
  }

  /** Owners whose work exists for the caller; null is everybody's. */
  ownersFor(principal: Principal): readonly string[] | null {
    return visibleOwners(principal, this.config.auth.required);
  }

  /** Whose task it is and who may review it. */
  async access(principal: Principal, id: string): Promise<TaskAccess> {
    const access = await this.tasks.findAccess(id, this.ownersFor(principal));
    if (access === null) throw DomainError.notFound('task', id);
    return access;
  }
}
