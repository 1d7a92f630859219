import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  CONDITION_FLAGS,
  evaluateCondition,
  MAX_CONDITION_DEPTH,
  MAX_CONDITION_NODES,
  parseRunCondition,
  type ConditionFlags,
  type RunCondition,
} from './run-condition.js';

const flags: fc.Arbitrary<ConditionFlags> = fc.record({
  guardrail_blocked: fc.boolean(),
  code_review_passed: fc.boolean(),
  code_review_rejected: fc.boolean(),
  has_code_artifacts: fc.boolean(),
});

const { condition } = fc.letrec<{ condition: RunCondition }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small', maxDepth: MAX_CONDITION_DEPTH - 1, withCrossShrink: true },
    fc.record({ type: fc.constantFrom('always' as const, 'never' as const, 'on_pass' as const, 'on_fail' as const) }),
    fc.record({
      type: fc.constantFrom('on_flag' as const, 'not_flag' as const),
      flag: fc.constantFrom(...CONDITION_FLAGS),
    }),
    fc.record({
      type: fc.constantFrom('and' as const, 'or' as const),
      conditions: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }),
    }),
  ),
}));

function sizeOf(node: RunCondition): number {
  return 1 + ('conditions' in node ? node.conditions.reduce((sum, inner) => sum + sizeOf(inner), 0) : 0);
}

/** The same condition with its meaning reversed, by de Morgan's laws. */
function negated(node: RunCondition): RunCondition {
  switch (node.type) {
    case 'always':
      return { type: 'never' };
    case 'never':
      return { type: 'always' };
    case 'on_pass':
      return { type: 'on_fail' };
    case 'on_fail':
      return { type: 'on_pass' };
    case 'on_flag':
      return { type: 'not_flag', flag: node.flag };
    case 'not_flag':
      return { type: 'on_flag', flag: node.flag };
    case 'and':
      return { type: 'or', conditions: node.conditions.map(negated) };
    case 'or':
      return { type: 'and', conditions: node.conditions.map(negated) };
  }
}

function faultsOf(input: unknown): string[] {
  const parsed = parseRunCondition(input);
  return parsed.ok ? [] : parsed.faults.map((fault) => fault.pointer);
}

function nested(depth: number): unknown {
  let node: unknown = { type: 'always' };
  for (let level = 1; level < depth; level += 1) node = { type: 'and', conditions: [node] };
  return node;
}

const NONE: ConditionFlags = {
  guardrail_blocked: false,
  code_review_passed: false,
  code_review_rejected: false,
  has_code_artifacts: false,
};

describe('evaluateCondition', () => {
  it('runs an agent without a condition', () => {
    expect(evaluateCondition(null, NONE)).toBe(true);
  });

  it.each([
    [{ type: 'always' }, NONE, true],
    [{ type: 'never' }, NONE, false],
    [{ type: 'on_flag', flag: 'has_code_artifacts' }, NONE, false],
    [{ type: 'on_flag', flag: 'has_code_artifacts' }, { ...NONE, has_code_artifacts: true }, true],
    [{ type: 'not_flag', flag: 'code_review_passed' }, NONE, true],
    [{ type: 'not_flag', flag: 'code_review_passed' }, { ...NONE, code_review_passed: true }, false],
    [{ type: 'on_pass' }, { ...NONE, has_code_artifacts: true }, true],
    [{ type: 'on_pass' }, { ...NONE, guardrail_blocked: true }, false],
    [{ type: 'on_pass' }, { ...NONE, code_review_rejected: true }, false],
    [{ type: 'on_fail' }, { ...NONE, code_review_passed: true }, false],
    [{ type: 'on_fail' }, { ...NONE, guardrail_blocked: true }, true],
    [{ type: 'on_fail' }, { ...NONE, code_review_rejected: true }, true],
    [{ type: 'and', conditions: [{ type: 'always' }, { type: 'never' }] }, NONE, false],
    [{ type: 'or', conditions: [{ type: 'always' }, { type: 'never' }] }, NONE, true],
  ] as const)('%j with %j is %s', (node, given, expected) => {
    expect(evaluateCondition(node, given)).toBe(expected);
  });

  it('is the opposite of the negated condition, for every condition and all flags', () => {
    fc.assert(
      fc.property(condition, flags, (node, given) => {
        expect(evaluateCondition(negated(node), given)).toBe(!evaluateCondition(node, given));
      }),
    );
  });

  it('does not depend on the order of the conditions, nor on repeating one', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('and' as const, 'or' as const),
        fc.array(condition, { minLength: 1 }),
        flags,
        (type, inner, given) => {
          const value = evaluateCondition({ type, conditions: inner }, given);
          expect(evaluateCondition({ type, conditions: inner.toReversed() }, given)).toBe(value);
          expect(evaluateCondition({ type, conditions: [...inner, ...inner] }, given)).toBe(value);
        },
      ),
    );
  });
});

describe('parseRunCondition', () => {
  it('accepts every condition that is small enough and returns it as it was written', () => {
    fc.assert(
      fc.property(condition, (node) => {
        fc.pre(sizeOf(node) <= MAX_CONDITION_NODES);
        expect(parseRunCondition(JSON.parse(JSON.stringify(node)))).toEqual({ ok: true, condition: node });
      }),
    );
  });

  it('never throws, and what it accepts can be evaluated', () => {
    const almost = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 10, withCrossShrink: true },
        fc.jsonValue(),
        fc.record(
          {
            type: fc.oneof(fc.constantFrom('always', 'on_flag', 'and', 'or', 'on_pass'), fc.string()),
            flag: fc.oneof(fc.constantFrom(...CONDITION_FLAGS), fc.string()),
            conditions: fc.oneof(fc.array(tie('node'), { maxLength: 3 }), fc.jsonValue()),
          },
          { requiredKeys: [] },
        ),
      ),
    })).node;
    fc.assert(
      fc.property(almost, flags, (input, given) => {
        const parsed = parseRunCondition(input);
        if (parsed.ok) expect(typeof evaluateCondition(parsed.condition, given)).toBe('boolean');
        else expect(parsed.faults.length).toBeGreaterThan(0);
      }),
    );
  });

  it.each([
    ['nothing', null, '#/run_condition'],
    ['a text', 'always', '#/run_condition'],
    ['an array', [{ type: 'always' }], '#/run_condition'],
    ['no type', {}, '#/run_condition/type'],
    ['an unknown type', { type: 'on_success' }, '#/run_condition/type'],
    ['a flag that is not known', { type: 'on_flag', flag: 'blocked' }, '#/run_condition/flag'],
    ['a missing flag', { type: 'not_flag' }, '#/run_condition/flag'],
    ['a field too many', { type: 'always', 'a/b': 1 }, '#/run_condition/a~1b'],
    ['a flag where none belongs', { type: 'on_pass', flag: 'guardrail_blocked' }, '#/run_condition/flag'],
    ['no conditions', { type: 'or' }, '#/run_condition/conditions'],
    ['empty conditions', { type: 'and', conditions: [] }, '#/run_condition/conditions'],
    [
      'an unknown flag inside',
      { type: 'or', conditions: [{ type: 'always' }, { type: 'on_flag', flag: 'x' }] },
      '#/run_condition/conditions/1/flag',
    ],
  ])('refuses %s', (_what, input, pointer) => {
    expect(faultsOf(input)).toEqual([pointer]);
  });

  it('refuses what is too deep or too large, however much of it there is', () => {
    expect(faultsOf(nested(MAX_CONDITION_DEPTH))).toEqual([]);
    expect(faultsOf(nested(MAX_CONDITION_DEPTH + 1))).toEqual(['#/run_condition']);
    expect(faultsOf(nested(100_000))).toEqual(['#/run_condition']);
    const wide = (count: number): unknown => ({
      type: 'or',
      conditions: Array.from({ length: count }, () => ({ type: 'never' })),
    });
    expect(faultsOf(wide(MAX_CONDITION_NODES - 1))).toEqual([]);
    expect(faultsOf(wide(MAX_CONDITION_NODES))).toEqual(['#/run_condition']);
  });
});
