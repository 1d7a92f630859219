/** The process runs. */
export class LivenessDto {
  status: 'ok';
}

/** Terminus' health check result. */
export class ReadinessDto {
  status: 'ok' | 'error' | 'shutting_down';
  /** Dependencies that are well, and those that do not decide. */
  info?: Record<string, Record<string, unknown>>;
  /** Dependencies that make the process unready. */
  error?: Record<string, Record<string, unknown>>;
  /** Both of them. */
  details: Record<string, Record<string, unknown>>;
}
