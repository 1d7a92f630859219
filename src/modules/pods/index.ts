export { SEVERITIES, stepsOf, type AgentSnapshot, type Severity, type PodSnapshot, type ReviewBy } from './pod.js';
export { isJudge, JUDGES, roleKind, POD_ROLES, type JudgeRole, type PodRole } from './roles.js';
export { PodTasks, type PodTasksSource } from './pod-tasks.js';
export { PodsModule } from './pods.module.js';
export { PodsService } from './pods.service.js';
export { STAGE_CONTEXT_TOKENS, stageTools } from './stage-tools.js';
export { evaluateCondition, type RunCondition, type ConditionFlags } from './run-condition.js';
