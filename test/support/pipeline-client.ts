import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { api, type Answer, type Api } from './openapi.js';
import { expectSeenOrListed } from './seen-work.js';
import { LEGAL_TRANSITIONS } from './legal-transitions.js';
import type { Service } from './service.js';
import { POD_ROLES } from '../../src/modules/pods/roles.js';
import type { StageRole } from './stage-models.js';

export interface PodPlan {
  pod?: Record<string, unknown>;
  /** Changes of a role's agent; null leaves the agent out. */
  agents?: Partial<Record<StageRole, Record<string, unknown> | null>>;
}

export interface PipelineEvent {
  seq: number;
  type: string;
  at: string;
  data: Record<string, unknown> & { from?: string | null; to?: string };
}

/** What tests of the pipeline do with a service over HTTP. Every answer is held against the service's OpenAPI document. */
export class PipelineClient {
  private constructor(readonly api: Api) {}

  static async of(service: Service): Promise<PipelineClient> {
    return new PipelineClient(await api(service));
  }

  /** A pod like the Quartet, without tools unless asked for, and with a model of its own. */
  async createPod(model: string, plan: PodPlan = {}): Promise<{ id: string; name: string }> {
    const pod = { name: `pod ${randomUUID()}`, default_model: model, ...plan.pod };
    const created = await this.admin('POST', '/api/v1/pods', pod, 201);
    for (const [index, role] of POD_ROLES.entries()) {
      const changes = plan.agents?.[role];
      if (changes === null) continue;
      await this.admin(
        'POST',
        `/api/v1/pods/${created.body.id}/agents`,
        {
          name: role,
          role,
          position: index + 1,
          allowed_tools: [],
          timeout_seconds: 60,
          max_retries: role === 'guardrail' || role === 'code_review' ? 1 : 0,
          on_failure: role === 'context' || role === 'task' ? 'abort' : 'escalate',
          ...(role === 'guardrail' || role === 'code_review' ? { parallel_group: 'review' } : {}),
          ...changes,
        },
        201,
      );
    }
    return { id: created.body.id as string, name: pod.name };
  }

  async submit(podName: string, body: Record<string, unknown> = {}): Promise<string> {
    const answer = await this.api.call('POST', '/api/v1/pipeline/tasks', {
      as: 'admin',
      json: { user_input: 'do the work', pod_name: podName, max_retries: 0, ...body },
    });
    if (answer.status !== 202) throw new Error(`submitting answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body.task_id as string;
  }

  async task(id: string): Promise<Answer['body']> {
    return (await this.call('GET', `/api/v1/pipeline/tasks/${id}`, 200)).body;
  }

  async list(id: string, part: 'findings' | 'reviews' | 'artifacts' | 'stages' | 'changes'): Promise<Answer['body'][]> {
    return (await this.call('GET', `/api/v1/pipeline/tasks/${id}/${part}`, 200)).body;
  }

  async events(id: string): Promise<PipelineEvent[]> {
    return (await this.call('GET', `/api/v1/pipeline/tasks/${id}/events?wait=false&limit=200`, 200)).body;
  }

  /** Follows the event stream until an event `matches`; an event that came before counts. */
  async until(id: string, matches: (event: PipelineEvent) => boolean): Promise<PipelineEvent> {
    const abort = new AbortController();
    try {
      const stream = await this.api.stream('GET', `/api/v1/pipeline/tasks/${id}/events`, {
        as: 'admin',
        signal: abort.signal,
      });
      let rest = '';
      for await (const part of stream.body!.pipeThrough(new TextDecoderStream())) {
        rest += part;
        const frames = rest.split('\n\n');
        rest = frames.pop() ?? '';
        for (const frame of frames) {
          const data = /^data: (.*)$/m.exec(frame)?.[1];
          if (data === undefined) continue;
          const event = JSON.parse(data) as PipelineEvent;
          if (matches(event)) return event;
        }
      }
    } finally {
      abort.abort();
    }
    throw new Error(`the stream of task ${id} ended first: ${JSON.stringify(await this.events(id))}`);
  }

  /** Waits until the task has ended or waits for a person, and gives it; its whole event log must hold legal transitions only,
   * and no judge's verdict may stand for a changed file that it was not shown and no gate lists.
   */
  async settled(id: string, skipGates = 0): Promise<Answer['body']> {
    let gates = 0;
    await this.until(id, ({ type }) => type === 'task.finished' || (type === 'gate.opened' && gates++ >= skipGates));
    await this.expectLegalTransitions(id);
    const task = await this.task(id);
    await expectSeenOrListed(this, task);
    return task;
  }

  /** Submits and waits. */
  async run(model: string, plan: PodPlan = {}, body: Record<string, unknown> = {}): Promise<Answer['body']> {
    const pod = await this.createPod(model, plan);
    return this.settled(await this.submit(pod.name, body));
  }

  async review(id: string, decision: Record<string, unknown>): Promise<Answer> {
    return this.api.call('POST', `/api/v1/pipeline/tasks/${id}/review`, { as: 'admin', json: decision });
  }

  async cancel(id: string): Promise<Answer> {
    return this.api.call('POST', `/api/v1/pipeline/tasks/${id}/cancel`, { as: 'admin' });
  }

  async admin(method: string, path: string, json: unknown, status: number): Promise<Answer> {
    const answer = await this.api.call(method, path, { as: 'admin', ...(json === undefined ? {} : { json }) });
    if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer;
  }

  /** Every transition in the task's log is on the hand-written list, and each begins where the one before ended. */
  async expectLegalTransitions(id: string): Promise<void> {
    const events = await this.events(id);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    let status: string | null = null;
    for (const { data } of events) {
      if (data.to === undefined) continue;
      expect(data.from).toBe(status);
      if (data.from !== null && data.from !== data.to) expect(LEGAL_TRANSITIONS).toContain(`${data.from} > ${data.to}`);
      status = data.to;
    }
  }

  private async call(method: string, path: string, status: number): Promise<Answer> {
    const answer = await this.api.call(method, path, { as: 'admin' });
    if (answer.status !== status) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer;
  }
}
