/**
 * Run conditions: what a pod agent's `run_condition` may say and what it means. A condition is checked when it is written
 * and evaluated when the pipeline reaches the agent. The functions here are pure.
 */
import { z } from 'zod';
import { DomainError, type FieldFault } from '../../platform/errors/index.js';

/** What stages leave behind for the conditions of later ones. */
export const CONDITION_FLAGS = [
  'guardrail_blocked',
  'code_review_passed',
  'code_review_rejected',
  'has_code_artifacts',
] as const;
export type ConditionFlag = (typeof CONDITION_FLAGS)[number];
export type ConditionFlags = Readonly<Record<ConditionFlag, boolean>>;

export const CONDITION_TYPES = ['always', 'never', 'on_flag', 'not_flag', 'on_pass', 'on_fail', 'and', 'or'] as const;

export type ConditionType = (typeof CONDITION_TYPES)[number];

/** `on_pass`: neither blocked nor rejected. `on_fail`: blocked or rejected. */
export type RunCondition =
  | { readonly type: 'always' | 'never' | 'on_pass' | 'on_fail' }
  | { readonly type: 'on_flag' | 'not_flag'; readonly flag: ConditionFlag }
  | { readonly type: 'and' | 'or'; readonly conditions: readonly RunCondition[] };

export const MAX_CONDITION_DEPTH = 8;
export const MAX_CONDITION_NODES = 64;

const conditionSchema: z.ZodType<RunCondition> = z.discriminatedUnion('type', [
  z.strictObject({ type: z.enum(['always', 'never', 'on_pass', 'on_fail']) }),
  z.strictObject({ type: z.enum(['on_flag', 'not_flag']), flag: z.enum(CONDITION_FLAGS) }),
  z.strictObject({
    type: z.enum(['and', 'or']),
    get conditions() {
      return z.array(conditionSchema).min(1);
    },
  }),
]);

export type ParsedCondition =
  { readonly ok: true; readonly condition: RunCondition } | { readonly ok: false; readonly faults: FieldFault[] };

/**
 * Reads a condition as a caller wrote it: at most 8 levels and 64 conditions in all, and nothing that is not described
 * here. Faults point below `pointer`.
 */
export function parseRunCondition(input: unknown, pointer = '#/run_condition'): ParsedCondition {
  // Counted first and without recursion over unbounded input: the schema below recurses.
  const excess = oversize(input);
  if (excess !== null) return { ok: false, faults: [{ pointer, detail: excess }] };
  const result = conditionSchema.safeParse(input);
  if (result.success) return { ok: true, condition: result.data };
  return { ok: false, faults: result.error.issues.flatMap((issue) => toFaults(issue, pointer)) };
}

/**
 * The condition that a caller wrote in the field `run_condition`; null is no condition.
 * @throws DomainError validation_failed.
 */
export function conditionOf(input: unknown): RunCondition | null {
  if (input === null) return null;
  const parsed = parseRunCondition(input);
  if (parsed.ok) return parsed.condition;
  throw new DomainError('validation_failed', 'The run condition is not valid.', { errors: parsed.faults });
}

/** Whether the agent runs. No condition means always. */
export function evaluateCondition(condition: RunCondition | null, flags: ConditionFlags): boolean {
  if (condition === null) return true;
  switch (condition.type) {
    case 'always':
      return true;
    case 'never':
      return false;
    case 'on_flag':
      return flags[condition.flag];
    case 'not_flag':
      return !flags[condition.flag];
    case 'on_pass':
      return !flags.guardrail_blocked && !flags.code_review_rejected;
    case 'on_fail':
      return flags.guardrail_blocked || flags.code_review_rejected;
    case 'and':
      return condition.conditions.every((inner) => evaluateCondition(inner, flags));
    case 'or':
      return condition.conditions.some((inner) => evaluateCondition(inner, flags));
  }
}

function oversize(input: unknown): string | null {
  let level = [input];
  let nodes = 0;
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > MAX_CONDITION_DEPTH) return `A condition may be at most ${MAX_CONDITION_DEPTH} levels deep.`;
    nodes += level.length;
    if (nodes > MAX_CONDITION_NODES) return `A condition may consist of at most ${MAX_CONDITION_NODES} conditions.`;
    level = level.flatMap((node) => {
      const inner = typeof node === 'object' && node !== null && 'conditions' in node ? node.conditions : null;
      return Array.isArray(inner) ? (inner as unknown[]) : [];
    });
  }
  return null;
}

function toFaults(issue: z.core.$ZodIssue, root: string): FieldFault[] {
  const at = [root, ...issue.path.map((part) => String(part).replaceAll('~', '~0').replaceAll('/', '~1'))].join('/');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      pointer: `${at}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`,
      detail: 'This field is not known here.',
    }));
  }
  if (issue.code === 'invalid_union') {
    return [{ pointer: at, detail: `Must be one of ${CONDITION_TYPES.join(', ')}.` }];
  }
  return [{ pointer: at, detail: `${issue.message}.` }];
}
