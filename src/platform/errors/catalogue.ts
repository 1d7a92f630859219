/**
 * Every error code the service answers with: its status and its title. `docs/errors.md` mirrors this table and a test
 * keeps the two in step. A code is added here, and nowhere else.
 */
export const ERRORS = {
  // the request itself
  validation_failed: { status: 422, title: 'The request is not valid' },
  malformed_json: { status: 422, title: 'The body is not valid JSON' },
  bad_request: { status: 400, title: 'The request cannot be served' },
  not_found: { status: 404, title: 'There is nothing here' },
  payload_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body is not JSON' },
  idempotency_key_reused: { status: 422, title: 'The Idempotency-Key was used with another body' },
  idempotency_in_flight: { status: 409, title: 'The first request with this Idempotency-Key is still in flight' },
  // credentials
  unauthenticated: { status: 401, title: 'A credential is missing or not valid' },
  forbidden: { status: 403, title: 'The credential may not do this' },
  admin_not_configured: { status: 503, title: 'No admin secret is configured' },
  origin_not_allowed: { status: 403, title: 'The origin may not drive this service' },
  host_not_allowed: { status: 403, title: 'The host name is not one of this service' },
  quota_exceeded: { status: 429, title: 'The caller holds as much as it may' },
  rate_limited: { status: 429, title: 'Too many requests' },
  // resources
  conflict: { status: 409, title: 'The request conflicts with the present state' },
  name_taken: { status: 409, title: 'The name is taken' },
  position_taken: { status: 409, title: 'The position is taken' },
  role_taken: { status: 409, title: 'The pod has an agent of this role' },
  pod_disabled: { status: 409, title: 'The pod is disabled' },
  pod_in_use: { status: 409, title: 'The pod has unfinished tasks' },
  system_pod: { status: 409, title: 'A system pod cannot be deleted' },
  task_not_terminal: { status: 409, title: 'The task has not ended' },
  task_terminal: { status: 409, title: 'The task has ended' },
  no_open_gate: { status: 409, title: 'No decision is open' },
  gate_stale: { status: 409, title: 'The gate is no longer current' },
  content_changed: { status: 409, title: 'The reviewed content is no longer current' },
  gone: { status: 410, title: 'What was there is gone' },
  range_not_satisfiable: { status: 416, title: 'The range is not in the content' },
  definition_moved: { status: 409, title: 'A tool is not defined as it was when it was looked at' },
  not_a_dead_letter: { status: 409, title: 'The task is not a dead letter' },
  agent_stopped: { status: 409, title: 'The agent is stopped' },
  canonical_agent: { status: 409, title: 'The canonical agent cannot be deleted' },
  turn_ended: { status: 409, title: 'The turn has ended' },
  session_busy: { status: 409, title: 'The session is already answering' },
  not_terminal_status: { status: 400, title: 'Only ended tasks can be deleted' },
  model_not_allowed: { status: 422, title: 'The model is not allowed' },
  price_unknown: { status: 422, title: 'The price of a model is not known' },
  sandbox_not_allowed: { status: 422, title: 'The sandbox tier may not be widened' },
  workspace_unreadable: { status: 422, title: 'The workspace cannot be read for a work tree' },
  workspace_unwritable: { status: 422, title: 'The workspace cannot be written' },
  workspace_too_large: { status: 422, title: 'The workspace is too large for a work tree' },
  // dependencies
  no_model: { status: 503, title: 'No model is configured' },
  dependency_unavailable: { status: 503, title: 'A dependency is unavailable' },
  tree_unavailable: { status: 503, title: 'The work tree of the task is not on this machine' },
  storage_full: { status: 503, title: 'The disk is nearly full' },
  draining: { status: 503, title: 'The service is shutting down' },
  internal: { status: 500, title: 'Something went wrong' },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERRORS;
