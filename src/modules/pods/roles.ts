import type { PodAgentRow } from '../../platform/database/index.js';

export type PodRole = PodAgentRow['role'];

/** What a stage is for: it prepares the work, does it, judges it, or decides upon it. */
export type RoleKind = 'prepares' | 'works' | 'judges' | 'decides';

/** The only list of the roles, in the order in which their stages usually stand. One that lacks a role does not compile. */
const ROLE_KINDS = {
  context: 'prepares',
  task: 'works',
  guardrail: 'judges',
  code_review: 'judges',
  decision: 'decides',
} as const satisfies Record<PodRole, RoleKind>;

export const POD_ROLES: readonly PodRole[] = Object.keys(ROLE_KINDS) as PodRole[];

/** The roles whose verdicts may send the work back. */
export type JudgeRole = { [Role in PodRole]: (typeof ROLE_KINDS)[Role] extends 'judges' ? Role : never }[PodRole];
export const JUDGES: readonly JudgeRole[] = POD_ROLES.filter(isJudge);

export function roleKind(role: PodRole): RoleKind {
  return ROLE_KINDS[role];
}

export function isJudge(role: PodRole): role is JudgeRole {
  return roleKind(role) === 'judges';
}
