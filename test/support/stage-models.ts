import type { PodRole } from '../../src/modules/pods/roles.js';
import { chunk, END, ModelServer, streams, USAGE, type Answer, type Asked } from './model-server.js';

export type StageRole = PodRole;

/** JSON for a structured answer, tool calls for a tool round, words, or whatever the answer function sends. */
export type StageAnswer =
  Record<string, unknown> | { tool_calls: { name: string; arguments: unknown }[] } | string | Answer;

/** Answers by role: the n-th call gets the n-th, later ones the last. Roles that are absent get a valid, passing one. */
export type StageScript = Partial<Record<StageRole, readonly StageAnswer[]>>;

export const PASSING: Record<StageRole, Record<string, unknown>> = {
  context: { curated_context: 'what matters', relevant_files: [], key_patterns: [], recommendations: '' },
  task: { output: 'the result', files_changed: [], explanation: 'how', commands_run: [] },
  guardrail: { blocked: false, findings: [], summary: 'clean' },
  code_review: { verdict: 'pass', issues: [], summary: 'good' },
  decision: { action: 'escalate', reasoning: 'unsure', adr: '# Ask', escalation_message: 'please look' },
};

/**
 * A model endpoint for pipeline tasks. Each model id has a script of its own, so that tasks of many tests can run at once;
 * `calls` is the endpoint's own log of what it was asked; its `role` is null outside stages.
 */
export class StageModels {
  readonly calls: { model: string; role: StageRole | null; tools: string[]; offersTools: boolean; prompt: string }[] =
    [];
  private readonly scripts = new Map<string, StageScript>();
  private readonly counts = new Map<string, number>();

  private constructor(private readonly server: ModelServer) {
    server.willAnswer((response, asked) => this.answer(asked)(response, asked));
  }

  static async start(): Promise<StageModels> {
    return new StageModels(await ModelServer.start());
  }

  get url(): string {
    return this.server.url;
  }

  /** A new model id with this script. */
  model(script: StageScript = {}): string {
    const id = `model-${this.scripts.size + 1}`;
    this.scripts.set(id, script);
    return id;
  }

  /** How often `role` was asked of `model`. */
  asked(model: string, role: StageRole): number {
    return this.calls.filter((call) => call.model === model && call.role === role).length;
  }

  /** What `role` was shown, call by call. */
  prompts(model: string, role: StageRole): string[] {
    return this.calls.filter((call) => call.model === model && call.role === role).map(({ prompt }) => prompt);
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  private answer(asked: Asked): Answer {
    if (!asked.path.endsWith('/chat/completions')) return (response) => void response.writeHead(404).end();
    const model = String(asked.body.model);
    const prompt = JSON.stringify(asked.body.messages);
    const stage = roleIn(prompt);
    const offered = asked.body.tools as { function: { name: string } }[] | undefined;
    const tools = (offered ?? []).map((tool) => tool.function.name);
    this.calls.push({ model, role: stage, tools, offersTools: offered !== undefined, prompt });
    const role = stage ?? 'task';
    const key = `${model} ${role}`;
    const count = this.counts.get(key) ?? 0;
    this.counts.set(key, count + 1);
    const script = this.scripts.get(model)?.[role] ?? [];
    const wanted = script[Math.min(count, script.length - 1)] ?? PASSING[role];
    if (typeof wanted === 'function') return wanted;
    return asked.body.stream === true ? streamed(wanted) : whole(wanted);
  }
}

/** The stage that a prompt is of; null for an agent's turn. It tells its form in the first message, beside tools too. */
export function roleIn(prompt: string): StageRole | null {
  return (/Your final answer is a (\w+)_output/.exec(prompt)?.[1] as StageRole | undefined) ?? null;
}

/** `answer` as one well-formed streamed completion. */
export function streamed(answer: Exclude<StageAnswer, Answer>): Answer {
  if (typeof answer === 'object' && 'tool_calls' in answer) {
    return streams(chunk({ tool_calls: toolCalls(answer) }), chunk({}, 'tool_calls'), ...END.slice(1));
  }
  return streams(chunk({ content: typeof answer === 'string' ? answer : JSON.stringify(answer) }), ...END);
}

/** `answer` as one completion that is not streamed. */
export function whole(answer: Exclude<StageAnswer, Answer>): Answer {
  const calls = typeof answer === 'object' && 'tool_calls' in answer ? toolCalls(answer) : null;
  const message = calls
    ? { role: 'assistant', content: null, tool_calls: calls }
    : { role: 'assistant', content: typeof answer === 'string' ? answer : JSON.stringify(answer) };
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        id: 'c',
        choices: [{ index: 0, message, finish_reason: calls ? 'tool_calls' : 'stop' }],
        usage: USAGE,
      }),
    );
  };
}

/** An answer that is given once `gate` resolves. */
export function after(gate: Promise<unknown>, answer: Exclude<StageAnswer, Answer>): Answer {
  return async (response, asked) => {
    await gate;
    await (asked.body.stream === true ? streamed(answer) : whole(answer))(response, asked);
  };
}

function toolCalls(answer: object): object[] {
  const { tool_calls: calls } = answer as { tool_calls: { name: string; arguments: unknown }[] };
  return calls.map((call, index) => ({
    index,
    id: `call_${index + 1}`,
    type: 'function',
    function: { name: call.name, arguments: JSON.stringify(call.arguments) },
  }));
}
