/** The parts of the REST API that the demo uses, as its clients see them. */
export interface Task {
  id: string;
  status: string;
  error: string | null;
  output: string | null;
  result: { output: string; explanation: string; files_changed: string[]; commands_run: string[] } | null;
  summary: { headline: string; cost_usd: number; duration_s: number } | null;
  checkpoint: Record<string, Record<string, unknown> | undefined>;
  review: { kind: string; reason: string } | null;
  total_input_tokens: number;
  total_output_tokens: number;
  total_cost_usd: number;
}

export interface ShownFinding {
  finding_type: string;
  severity: string;
  description: string;
  evidence: string;
  iteration: number;
  deterministic: boolean;
  status: string;
  resolved_by: string | null;
}

export interface Review {
  iteration: number;
  verdict: string;
  summary: string;
  issues: { severity: string; description: string }[];
}

export interface Artifact {
  artifact_type: string;
  name: string;
  content: string;
  content_hash: string;
}

export interface TaskEvent {
  seq: number;
  type: string;
  data: Record<string, unknown>;
}

/** A client of one running service. */
export class Api {
  constructor(private readonly url: string) {}

  async submit(body: Record<string, unknown>): Promise<string> {
    const { task_id: id } = await this.request<{ task_id: string }>('/api/v1/pipeline/tasks', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return id;
  }

  task(id: string): Promise<Task> {
    return this.request(`/api/v1/pipeline/tasks/${id}`);
  }

  findings(id: string): Promise<ShownFinding[]> {
    return this.request(`/api/v1/pipeline/tasks/${id}/findings`);
  }

  reviews(id: string): Promise<Review[]> {
    return this.request(`/api/v1/pipeline/tasks/${id}/reviews`);
  }

  artifacts(id: string): Promise<Artifact[]> {
    return this.request(`/api/v1/pipeline/tasks/${id}/artifacts`);
  }

  /** Why commands cannot be confined on this machine; null where they can. */
  async sandboxProblem(): Promise<string | null> {
    const answer = await fetch(`${this.url}/health/ready`);
    const { details } = (await answer.json()) as { details?: Record<string, { status: string; reason?: string }> };
    const sandbox = details?.sandbox;
    return sandbox?.status === 'up' ? null : (sandbox?.reason ?? 'nothing is reported of a sandbox');
  }

  /** The task's events as they happen, until it has ended or waits for a person. */
  async *events(id: string): AsyncGenerator<TaskEvent> {
    const answer = await fetch(`${this.url}/api/v1/pipeline/tasks/${id}/events`);
    if (!answer.ok || answer.body === null) throw new Error(`The event stream answered ${answer.status}.`);
    let rest = '';
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
      rest += chunk;
      const frames = rest.split('\n\n');
      rest = frames.pop() ?? '';
      for (const frame of frames) {
        const data = /^data: (.*)$/m.exec(frame)?.[1];
        if (data === undefined) continue;
        const event = JSON.parse(data) as TaskEvent;
        yield event;
        if (event.type === 'gate.opened') return;
      }
    }
  }

  private async request<T>(path: string, init?: RequestInit): Promise<T> {
    const answer = await fetch(this.url + path, init);
    const body = (await answer.json()) as T & { detail?: string };
    if (!answer.ok) throw new Error(`${init?.method ?? 'GET'} ${path} answered ${answer.status}: ${body.detail}`);
    return body;
  }
}
