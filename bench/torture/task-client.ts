import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from '../../test/support/service.js';
import { requestOf, writes } from './work.js';

/** What became of a submission: `ok` was answered 202, `refused` was answered otherwise, of the others nobody knows. */
export interface Submission {
  tag: number;
  outcome: 'ok' | 'refused' | 'unknown';
  id?: string;
  /** Epoch milliseconds at which its outcome was known. */
  at?: number;
}

const ROLES = ['context', 'task', 'guardrail', 'code_review', 'decision'];
/** Whoever was answered "come back later" does, for so long. */
const PATIENCE_MS = 120_000;

/** Submits tasks as a program of its own would, and keeps the log that the judge believes. */
export class TaskClient {
  readonly submissions: Submission[] = [];
  private pods = { reading: '', writing: '' };

  constructor(private readonly service: Service) {}

  /** Makes the pods: five stages, of which the task's may write files in one of them. */
  async prepare(): Promise<void> {
    this.pods = { reading: await this.createPod([]), writing: await this.createPod(['write_file']) };
  }

  /** Submits the task of `tag`, again under the same key while nobody knows whether it was taken. */
  async submit(tag: number): Promise<void> {
    const submission: Submission = { tag, outcome: 'unknown' };
    this.submissions.push(submission);
    const key = randomUUID();
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline) {
      const answer = await this.service
        .admin('/api/v1/pipeline/tasks', {
          method: 'POST',
          headers: { 'idempotency-key': key },
          signal: AbortSignal.timeout(20_000),
          json: {
            user_input: requestOf(tag),
            pod_name: writes(tag) ? this.pods.writing : this.pods.reading,
            max_retries: 10,
          },
        })
        .then(async (response) => ({ status: response.status, body: (await response.json()) as { task_id?: string } }))
        .catch(() => null);
      if (answer?.status === 202 || answer?.status === 200) {
        Object.assign(submission, { id: answer.body.task_id, outcome: 'ok', at: Date.now() });
        return;
      }
      if (answer !== null && answer.status < 500) {
        Object.assign(submission, { outcome: 'refused', at: Date.now() });
        return;
      }
      await delay(500);
    }
  }

  private async createPod(taskTools: string[]): Promise<string> {
    const name = `torture ${randomUUID()}`;
    const { id } = await this.post('/api/v1/pods', { name, default_model: 'torture' });
    for (const [position, role] of ROLES.entries()) {
      const judges = role === 'guardrail' || role === 'code_review';
      await this.post(`/api/v1/pods/${id}/agents`, {
        name: role,
        role,
        position,
        allowed_tools: role === 'task' ? taskTools : [],
        timeout_seconds: 120,
        max_retries: judges ? 1 : 0,
        ...(judges ? { parallel_group: 'review' } : {}),
      });
    }
    return name;
  }

  private async post(path: string, json: unknown): Promise<{ id: string }> {
    const answer = await this.service.admin(path, { method: 'POST', json });
    if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { id: string };
  }
}
