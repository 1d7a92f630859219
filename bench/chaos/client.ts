import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from '../../test/support/service.js';
import type { Submission } from './oracle.js';
import { requestOf, writes } from './stage-endpoint.js';

const ROLES = ['context', 'task', 'guardrail', 'code_review', 'decision'];
/** Whoever was answered "come back later" does, this often. */
const TRIES = 20;

/** Submits tasks as a program of its own would, and keeps the log that the oracle believes. */
export class ChaosClient {
  readonly submissions: Submission[] = [];
  private pods = { reading: '', writing: '' };

  constructor(private readonly observer: Service) {}

  /** Makes the pods: five stages, of which the task's may write files in one of them. */
  async prepare(): Promise<void> {
    this.pods = { reading: await this.createPod([]), writing: await this.createPod(['write_file']) };
  }

  /** Submits the task of `tag`, again under the same key while nobody knows whether it was taken. */
  async submit(tag: number): Promise<void> {
    const submission: Submission = { tag, outcome: 'unknown' };
    this.submissions.push(submission);
    const key = randomUUID();
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      const answer = await this.observer
        .admin('/api/v1/pipeline/tasks', {
          method: 'POST',
          headers: { 'idempotency-key': key },
          signal: AbortSignal.timeout(20_000),
          json: { user_input: requestOf(tag), pod_name: writes(tag) ? this.pods.writing : this.pods.reading },
        })
        .catch(() => null);
      if (answer?.status === 202 || answer?.status === 200) {
        submission.id = ((await answer.json()) as { task_id: string }).task_id;
        submission.outcome = 'ok';
        return;
      }
      if (answer !== null && answer.status < 500) {
        submission.outcome = 'refused';
        return;
      }
      await delay(500);
    }
  }

  private async createPod(taskTools: string[]): Promise<string> {
    const name = `chaos ${randomUUID()}`;
    const { id } = await this.post('/api/v1/pods', { name, default_model: 'chaos' });
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
    const answer = await this.observer.admin(path, { method: 'POST', json });
    if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as { id: string };
  }
}
