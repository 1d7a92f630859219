export {
  SEVERITIES,
  HUMAN_REVIEWS,
  ON_FAILURES,
  POD_NETWORKS,
  POD_ROLES,
  REVIEW_BYS,
  stepsOf,
  type AgentSnapshot,
  type Severity,
  type HumanReview,
  type OnFailure,
  type Pod,
  type PodAgent,
  type PodDetail,
  type PodNetwork,
  type PodRole,
  type PodSelector,
  type PodSnapshot,
  type ReviewBy,
} from './pod.js';
export { PodTasks, type PodTasksSource } from './pod-tasks.js';
export { PodsModule } from './pods.module.js';
export { PodsService } from './pods.service.js';
export { STAGE_CONTEXT_TOKENS, stageTools } from './stage-tools.js';
export {
  evaluateCondition,
  parseRunCondition,
  CONDITION_FLAGS,
  type RunCondition,
  type ConditionFlag,
  type ConditionFlags,
} from './run-condition.js';
