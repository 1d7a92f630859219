export {
  SEVERITIES,
  POD_ROLES,
  stepsOf,
  type AgentSnapshot,
  type Severity,
  type PodRole,
  type PodSnapshot,
  type ReviewBy,
} from './pod.js';
export { PodTasks, type PodTasksSource } from './pod-tasks.js';
export { PodsModule } from './pods.module.js';
export { PodsService } from './pods.service.js';
export { STAGE_CONTEXT_TOKENS, stageTools } from './stage-tools.js';
export { evaluateCondition, type RunCondition, type ConditionFlags } from './run-condition.js';
