/** The process runs. */
export class LivenessDto {
  /** @example "ok" */
  status: string;
}

/** Terminus' health check result. */
export class ReadinessDto {
  /** `ok`, `error`, or `shutting_down`. */
  status: string;
  /** What is well, and what does not decide. */
  info?: Record<string, Record<string, unknown>>;
  /** What makes the process unready. */
  error?: Record<string, Record<string, unknown>>;
  /** Both of them. */
  details: Record<string, Record<string, unknown>>;
}
