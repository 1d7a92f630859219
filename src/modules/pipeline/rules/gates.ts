import { createHash } from 'node:crypto';
import { JUDGES, stepsOf } from '../../pods/index.js';
import { failTask, NO_EFFECTS, type Effects, type Next } from './next.js';
import { current, type Situation } from './situation.js';
import { stageKey, type GateKind, type ShownTraps, type TaskControl } from './task-control.js';
import { forgive } from './verdicts.js';

/** The gates at which a task waits for a person: what each of them shows, and what its approval covers. */

/** Gates that list the work no judge was shown, and whose approval releases it. */
const RELEASING: readonly GateKind[] = ['escalation', 'finding', 'final', 'unseen'];

interface Unseen {
  files: { path: string; reason: string }[];
  more: number;
}

/** The work that a judge was not shown, as the newest verdicts say; null for none. */
function unseenOf({ newest }: Situation): Unseen | null {
  const files = new Map<string, { path: string; reason: string }>();
  let more = 0;
  for (const judge of JUDGES) {
    const record = newest[judge];
    const unseen = record?.status === 'complete' ? (record.output as { unseen?: Unseen }).unseen : undefined;
    for (const file of unseen?.files ?? []) files.set(file.path, file);
    more = Math.max(more, unseen?.more ?? 0);
  }
  return files.size === 0 ? null : { files: [...files.values()], more };
}

/** `unseenOf`, unless a person has released just that. */
export function openUnseen(situation: Situation): Unseen | null {
  return situation.control.releasedUnseen === unseenHash(situation) ? null : unseenOf(situation);
}

/** Names the unseen work with its content: another iteration, or another byte in a file, is another one. */
function unseenHash(situation: Situation): string {
  const { control, newest } = situation;
  const unseen = unseenOf(situation);
  const files = unseen?.files.map(({ path, reason }) => [path, reason]);
  const work = [control.diffHash, newest.task?.iteration ?? null, files ?? [], unseen?.more ?? 0];
  return createHash('sha256').update(JSON.stringify(work)).digest('hex');
}

/** The parts of the changes that git would obey, unless a person has let just that pass. */
export function openTraps({ control }: Situation): ShownTraps | null {
  const { traps, releasedTraps } = control;
  return traps === undefined || traps.hash === releasedTraps ? null : traps;
}

/** The gate for changes that the owner's git would obey. */
export function trapsGate(situation: Situation, traps: ShownTraps, effects: Effects = NO_EFFECTS): Next {
  const named = traps.files.map(({ path, kind }) => `${path} (${kind})`).join(', ');
  const all = traps.more > 0 ? `${named} and ${traps.more} more` : named;
  const withThem = { ...situation, control: { ...situation.control, traps } };
  return openGate(withThem, 'finding', `The owner's git would obey what the work holds: ${all}.`, effects);
}

/** The unseen work in a gate's reason. */
export function listed({ files, more }: Unseen): string {
  const named = files.slice(0, 20).map(({ path, reason }) => `${path} (${reason})`);
  const others = files.length - named.length + more;
  return others > 0 ? `${named.join(', ')} and ${others} more` : named.join(', ');
}

/** Stops at a gate, or fails the task where the pod wants no person. */
export function openGate(
  situation: Situation,
  kind: GateKind,
  reason: string,
  effects: Effects = NO_EFFECTS,
  details: Record<string, unknown> = {},
): Next {
  if (situation.pod.requireHumanReview === 'never') return failTask(situation, `gate_${kind}`, reason, effects);
  const unseen = RELEASING.includes(kind) ? openUnseen(situation) : null;
  const traps = RELEASING.includes(kind) && kind !== 'unseen' ? openTraps(situation) : null;
  const shown = { ...details, ...(unseen && { unseen }), ...(traps && { traps }) };
  return { kind: 'gate', gate: kind, reason, details: shown, control: situation.control, effects };
}

/** The things that a gate has shown besides the work itself, which its approval covers. */
export interface ShownAtGate {
  /** Paths in conflict, and the version of the workspace that the gate showed; null where none can be overwritten. */
  conflicts?: readonly { path: string; version: string | null }[];
  /** The gate listed the work that no judge was shown. */
  listedUnseen?: boolean;
  /** Hash of the traps for git that the gate listed. */
  traps?: string | undefined;
}

/**
 * How a task goes on after a person approved its gate: flags are cleared and standing verdicts forgiven, or the failed
 * stages get another attempt, or the cost limit rises once by the pod's own amount.
 */
export function approved(
  gate: GateKind,
  situation: Situation,
  { conflicts = [], listedUnseen = false, traps }: ShownAtGate = {},
): TaskControl {
  const { control, pod } = situation;
  const released = {
    ...(listedUnseen && { releasedUnseen: unseenHash(situation) }),
    ...(traps !== undefined && { releasedTraps: traps }),
  };
  switch (gate) {
    case 'escalation':
    case 'finding':
    case 'final':
      return { ...forgive(situation), approvedHash: situation.contentHash(), ...released };
    case 'unseen':
      return { ...control, ...released };
    case 'cost':
      return { ...control, costLimitUsd: (control.costLimitUsd ?? 0) + (pod.maxCostUsd ?? 0) };
    case 'stage_error':
    case 'tool_effect': {
      const allowedAttempts = { ...control.allowedAttempts };
      for (const agent of stepsOf(pod)[control.step] ?? []) {
        const record = current(situation, agent.role);
        if (record?.status === 'failed') allowedAttempts[stageKey(record.role, record.iteration)] = record.attempt + 1;
      }
      return { ...control, allowedAttempts };
    }
    case 'publish_conflict':
      return { ...control, publishOver: approvedVersions(control, conflicts) };
  }
}

/** The versions that people have let the task overwrite: of each path the version that was shown last. */
function approvedVersions(
  { publishOver = [] }: TaskControl,
  conflicts: NonNullable<ShownAtGate['conflicts']>,
): [string, string][] {
  const versions = new Map(publishOver);
  for (const { path, version } of conflicts) {
    if (version !== null) versions.set(path, version);
  }
  return [...versions];
}
