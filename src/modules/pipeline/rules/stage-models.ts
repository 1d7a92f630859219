import { modelChain } from '../../llm/index.js';
import type { AgentSnapshot, PodSnapshot } from '../../pods/index.js';

/**
 * The models that a stage asks, in order: the task's override, else the agent's, the pod's or the service's; then the agent's
 * fallbacks.
 */
export function stageModels(
  agent: Pick<AgentSnapshot, 'model' | 'fallbackModels'>,
  pod: Pick<PodSnapshot, 'defaultModel'>,
  metadata: Record<string, unknown>,
  defaultModel: string | null,
): string[] {
  const override = typeof metadata.model_override === 'string' ? metadata.model_override : null;
  return modelChain([override, agent.model, pod.defaultModel, defaultModel], agent.fallbackModels);
}
