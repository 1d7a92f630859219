/** The process runs. */
export class LivenessDto {
  status: 'ok';
}

/** Terminus' health check result. */
export class ReadinessDto {
  status: 'ok' | 'error' | 'shutting_down';
  /** What is well, and what does not decide. */
  info?: Record<string, Record<string, unknown>>;
  /** What makes the process unready. */
  error?: Record<string, Record<string, unknown>>;
  /** Both of them. */
  details: Record<string, Record<string, unknown>>;
}
