import type { FieldFault } from '../../platform/errors/index.js';
import type { AllowedTools } from '../tools/index.js';
import { stepsOf, type PodAgentSettings } from './pod.js';
import { roleKind } from './roles.js';

/** Whether an allow-list lets its agent change anything; null counts as holding every tool. */
export type HoldsWriting = (allowed: AllowedTools) => boolean;

export type TeamMember = PodAgentSettings & { readonly id: string };

/** The highest position a pod agent can have. */
export const MAX_POSITION = 1000;

/** The position of an agent that names none: after the last one, or the first free one where that is taken. */
export function nextPosition(taken: readonly number[]): number {
  const after = Math.max(0, ...taken) + 1;
  if (after <= MAX_POSITION) return after;
  let free = MAX_POSITION;
  while (taken.includes(free)) free -= 1;
  return free;
}

/**
 * What an edit makes wrong. `before` and `after` are the whole team; `editedId` is the agent that was added or changed, null
 * when one was taken away. The edited agent must be right in the result; others only where the edit is what makes them
 * wrong, for example by joining their parallel group. Faults point into the edited agent.
 */
export function faultsOf(
  before: readonly TeamMember[],
  after: readonly TeamMember[],
  editedId: string | null,
  holdsWriting: HoldsWriting,
): FieldFault[] {
  const faults: FieldFault[] = [];
  const edited = after.find((agent) => agent.id === editedId);
  if (edited?.onFailure === 'skip' && roleKind(edited.role) !== 'prepares') {
    faults.push({ pointer: '#/on_failure', detail: 'Only the context agent may be skipped when it fails.' });
  }
  const known = new Set(writersTogether(before, holdsWriting).map((agent) => agent.id));
  for (const agent of writersTogether(after, holdsWriting)) {
    const where = `in the parallel group "${agent.parallelGroup}", and may hold no writing tool there.`;
    if (agent.id === editedId) {
      faults.push({ pointer: '#/allowed_tools', detail: `This agent would run together with others ${where}` });
    } else if (!known.has(agent.id)) {
      const detail = `The agent "${agent.name}" would run together with others ${where}`;
      faults.push({ pointer: '#/parallel_group', detail });
    }
  }
  return faults;
}

/** Agents that hold a writing tool and run together with another one. */
function writersTogether(agents: readonly TeamMember[], holdsWriting: HoldsWriting): TeamMember[] {
  const running = agents.filter((agent) => agent.enabled).toSorted((one, other) => one.position - other.position);
  return stepsOf({ agents: running })
    .filter((step) => step.length > 1)
    .flatMap((step) => step.filter((agent) => holdsWriting(agent.allowedTools)));
}
