import { AsyncLocalStorage } from 'node:async_hooks';

/** What every log line of the present request or piece of work carries. */
export interface LogContext {
  readonly request_id?: string;
  /** Of the caller's W3C `traceparent`. */
  readonly trace_id?: string;
  readonly span_id?: string;
  readonly trace_flags?: string;
  /** The pipeline task that is worked on, its stage, and which attempt at the stage this is. */
  readonly task_id?: string;
  readonly stage?: string;
  readonly attempt?: number;
  /** The turn that runs, and whose it is. Beside `task_id`, a tool of that task started it. */
  readonly turn_id?: string;
  readonly agent_id?: string;
}

const storage = new AsyncLocalStorage<LogContext>();

/** The fields that belong to the present asynchronous context. */
export function logContext(): LogContext {
  return storage.getStore() ?? {};
}

/** Runs `work` (and everything it starts) with `fields` added to the present ones. */
export function withLogContext<T>(fields: LogContext, work: () => T): T {
  return storage.run({ ...storage.getStore(), ...fields }, work);
}

/** Runs `work`, which several requests or tasks share or which outlives them, with none of the present fields. */
export function withoutLogContext<T>(work: () => T): T {
  return storage.exit(work);
}
