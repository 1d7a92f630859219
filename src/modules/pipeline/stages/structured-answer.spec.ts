import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ROLES, type Role } from '../rules/task-status.js';
import { STAGE_SCHEMAS } from './outputs.js';
import { readAnswer } from './structured-answer.js';

const REVIEW = { verdict: 'needs_refactor', issues: [], summary: 'So-so.' };
const ISSUE = { severity: 'low', description: 'Naming.', file: 'src/a.ts', line: 3, suggestion: 'Rename it.' };
const FINDING = { type: 'spec_drift', severity: 'high', description: 'More than asked.', evidence: 'src/a.ts:3' };

function read(role: Role, text: string | object, finishReason: 'stop' | 'length' = 'stop') {
  const whole = typeof text === 'string' ? text : JSON.stringify(text);
  return readAnswer({ text: whole, finishReason, toolCalls: [] }, STAGE_SCHEMAS[role]);
}

interface Answered {
  verdict: string;
  summary: string;
  issues: { file: string; line: number | null }[];
  findings: object[];
  notes: string[];
}

/** The value, which has to be valid. */
function valueOf(role: Role, text: string | object): Answered {
  const reading = read(role, text);
  if (!reading.valid) throw new Error(reading.faults.join('; '));
  return reading.value as unknown as Answered;
}

describe('slips of JSON', () => {
  it('cost no verdict where they leave no doubt', () => {
    for (const text of [
      String.raw`{"verdict":"reject","issues":[{"severity":"low","description":"C:\dir \d+ it\'s"}]}`,
      '{"verdict":"reject","issues":[],}',
      '{\u00a0"verdict":\u200b"reject"}',
      '{"verdict":"reject","confidence":NaN}',
      '```json title="review.json"\n{"verdict":"reject"}\n```',
    ]) {
      expect(valueOf('code_review', text).verdict).toBe('reject');
    }
    for (const text of [
      String.raw`{"verdict":"pa\ss"}`,
      '{"verdict":"pass\u00a0"}',
      '{"verdict":NaN}',
      '{"blocked":true,"blocked":false,"findings":[],}',
      '{"verdict":"reject","verdict":"pass","score":NaN}',
    ]) {
      expect(read(text.includes('blocked') ? 'guardrail' : 'code_review', text).valid).toBe(false);
    }
  });

  it('of line ends in its texts are read as they stand, and noted; what decides stays exact', () => {
    const { verdict, summary, notes } = valueOf(
      'code_review',
      '```json\n{"verdict": "reject",\n"summary": "One \\"line\\".\nAnother.\t"}\n```',
    );
    expect([verdict, summary]).toEqual(['reject', 'One "line".\nAnother.\t']);
    expect(notes).toEqual(['It was not JSON to the letter.']);
    expect(read('code_review', '{"verdict":"pass\n"}').valid).toBe(false);
    expect(read('code_review', '{"verdict":"reject","summary":"a\nb","\\u0056erdict":"pass"}').valid).toBe(false);
    expect(read('code_review', '{"verdict":"pass","summary":"a\nb').valid).toBe(false);
    expect(read('code_review', `{"verdict":"pass","summary":"${'a\n'.repeat(400_000)}"}`).valid).toBe(true);
  });
});

describe('artefacts around a whole answer', () => {
  const json = JSON.stringify(REVIEW, null, 1);
  const thoughts = 'First {"verdict":"pass"}… no, ```json {} ```.';
  it.each([
    ['a byte order mark', `\ufeff${json}`],
    ['blanks', `\n\n  ${json}\r\n`],
    ['blanks that nobody sees', `\u200b\ufeff${json}\u2060\n`],
    ['a fence', `\`\`\`json\n${json}\n\`\`\``],
    ['a fence without a name', `\`\`\`\n${json}\n\`\`\``],
    ['a fence in one line', `\`\`\`json${JSON.stringify(REVIEW)}\`\`\``],
    ['a fence of tildes', `~~~JSON\n${json}\n~~~`],
    ['a longer fence', `\`\`\`\`json5\r\n${json}\r\n\`\`\`\``],
    ['a fence that is never closed', `\`\`\`json\n${json}`],
    ['the end of a fence alone', `${json}\n\`\`\``],
    ['thoughts', `<think>${thoughts}</think>${json}`],
    ['thoughts in capitals', `<THINK>\n${thoughts}\n</THINK>\n${json}`],
    ['thoughts after it', `${json}\n<think>${thoughts}</think>`],
    ['thoughts twice', `<think>a</think><thinking>b</thinking>${json}`],
    ['thoughts, then a fence', `<think>${thoughts}</think>\n\n\`\`\`json\n${json}\n\`\`\``],
    ['thoughts whose beginning the template wrote', `${thoughts}\n</think>\n\n${json}`],
    ['empty thoughts', `<think>\n\n</think>\n${json}`],
    ['thoughts of Mistral', `[THINK]${thoughts}[/THINK]${json}`],
    ['thoughts of Kimi', `◁think▷${thoughts}◁/think▷${json}`],
    ['thoughts of Seed', `<seed:think>${thoughts}</seed:think>${json}`],
    ['thoughts of Cohere', `<|START_THINKING|>${thoughts}<|END_THINKING|><|START_RESPONSE|>${json}<|END_RESPONSE|>`],
    [
      'harmony channels',
      `<|channel|>analysis<|message|>${thoughts}<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>${json}<|return|>`,
    ],
    ['ChatML', `<|im_start|>assistant\n${json}<|im_end|>\n<|endoftext|>`],
    ['tokens of Llama 3', `<|start_header_id|>assistant<|end_header_id|>\n\n${json}<|eot_id|>`],
    ['tokens of Gemma', `<start_of_turn>model\n${json}<end_of_turn>`],
    ['tokens of Llama 2', `<s>[INST][/INST] ${json}</s>`],
    ['tokens of DeepSeek', `<｜Assistant｜>${json}<｜end▁of▁sentence｜>`],
  ])('are taken off: %s', (_, text) => {
    expect(valueOf('code_review', text)).toEqual(REVIEW);
  });

  it('are left alone inside the answer', () => {
    const summary = '\ufeff```json\n<think>no</think></think><|im_end|>```</s>';
    for (const text of [
      JSON.stringify({ ...REVIEW, summary }),
      `\`\`\`\n${JSON.stringify({ ...REVIEW, summary })}\n\`\`\``,
    ])
      expect(valueOf('code_review', text).summary).toBe(summary);
  });

  it.each([
    ['prose before', `Here you are: ${json}`],
    ['prose after', `${json}\nI hope that helps.`],
    ['prose before a fence', `Sure!\n\`\`\`json\n${json}\n\`\`\``],
    ['prose after a fence', `\`\`\`json\n${json}\n\`\`\`\nDone.`],
    ['two values', `${json}${json}`],
    ['two lines of values', `${JSON.stringify(REVIEW)}\n${JSON.stringify({ ...REVIEW, verdict: 'pass' })}`],
    ['two fences', `\`\`\`json\n${json}\n\`\`\`\n\`\`\`json\n${json}\n\`\`\``],
    ['a value in the place of thoughts', `${json}</think>${json}`],
    ['a fenced value in the place of thoughts', `\`\`\`json\n${json}\n\`\`\`</think>${json}`],
    ['a value with a mark at its end in the place of thoughts', `${json}<|im_end|></think>${json}`],
    ['thoughts that do not end', `<think>${json}`],
    ['thoughts alone', `<think>${json}</think>`],
    ['a comment', `// review\n${json}`],
    ['a list of one', `[${json}]`],
    ['JSON in a string', JSON.stringify(json)],
    ['single quotes', json.replaceAll('"', "'")],
    ['half of it', json.slice(0, -4)],
  ])('are no prose, and not a second value: %s', (_, text) => {
    expect(read('code_review', text).valid).toBe(false);
  });

  // Work that grew with the square of the length would take minutes and meet the test's own deadline.
  it.each(['<think>', '```', '</think>', '<|x|>', '}```', '[', '{"a":', '"\\u0061":', '`'])(
    'are looked for in time that grows with the length: %s',
    (part) => {
      expect(read('code_review', part.repeat(Math.floor(990_000 / part.length))).valid).toBe(false);
    },
  );
});

describe('what decides', () => {
  it.each<[Role, string]>([
    ['code_review', '{"verdict":"reject","issues":[],"summary":"","verdict":"pass"}'],
    ['code_review', '{"verdict":"reject","Verdict":"pass","issues":[],"summary":""}'],
    ['code_review', '{"verdict":"pass","\\u0076erdict":"pass","issues":[],"summary":""}'],
    ['code_review', '{"verdict":"pass","issues":[],"ISSUES":[],"summary":""}'],
    ['code_review', '{"verdict":"pass","issues":[{"severity":"low","severity":"critical","description":"x"}]}'],
    ['code_review', '{"verdict":"pass","issues":[{"severity":"low","s\\u0045verity":"critical","description":"x"}]}'],
    ['guardrail', '{"blocked":true,"blocked":false,"findings":[],"summary":""}'],
    ['guardrail', '{"blocked":false,"findings":[],"findings":null,"summary":""}'],
    ['guardrail', '{"blocked":true,"findings":[{"type":"other","Type":"other","severity":"low","description":"x"}]}'],
    ['decision', '{"action":"escalate","action":"override","reasoning":"","adr":""}'],
    ['guardrail', '{"blocked":false,"Findings":[{"type":"other","severity":"critical","description":"x"}]}'],
    ['code_review', '{"verdict":"pass","issues":[{"severity":"low","SEVERITY":"high","description":"x"}]}'],
    ['code_review', '{"verdict":"pass","verdict\u200b":"reject","issues":[],"summary":""}'],
    ['code_review', '{"verdict":"pass"," verdict ":"reject","issues":[],"summary":""}'],
    ['code_review', '{"verdict":"pass","ｖｅｒｄｉｃｔ":"reject","issues":[],"summary":""}'],
    ['code_review', '{"verdict":"pass","iſſues":[{"severity":"critical","description":"x"}],"summary":""}'],
    ['guardrail', '{"blocked":false,"findings\\u2060":[{"type":"other","severity":"critical","description":"x"}]}'],
  ])('is not given twice, or in another spelling: %s %s', (role, text) => {
    expect(read(role, text)).toMatchObject({ valid: false });
  });

  it.each<[Role, object]>([
    ['code_review', { ...REVIEW, verdict: 'Pass' }],
    ['code_review', { ...REVIEW, verdict: ' pass' }],
    ['code_review', { ...REVIEW, verdict: ['pass'] }],
    ['code_review', { ...REVIEW, verdict: null }],
    ['code_review', { issues: [], summary: '' }],
    ['code_review', { ...REVIEW, issues: 'none' }],
    ['code_review', { ...REVIEW, issues: '' }],
    ['code_review', { ...REVIEW, issues: {} }],
    ['code_review', { ...REVIEW, issues: false }],
    ['code_review', { ...REVIEW, issues: ['The name is bad.'] }],
    ['code_review', { ...REVIEW, issues: [null] }],
    ['code_review', { ...REVIEW, issues: [[ISSUE]] }],
    ['code_review', { ...REVIEW, issues: [{ ...ISSUE, severity: 'High' }] }],
    ['code_review', { ...REVIEW, issues: [{ ...ISSUE, severity: 'blocker' }] }],
    ['code_review', { ...REVIEW, issues: [{ ...ISSUE, severity: 3 }] }],
    ['code_review', { ...REVIEW, issues: [{ ...ISSUE, severity: undefined }] }],
    ['guardrail', { blocked: 'true', findings: [], summary: '' }],
    ['guardrail', { blocked: 0, findings: [], summary: '' }],
    ['guardrail', { findings: [], summary: '' }],
    ['guardrail', { blocked: false, findings: 'none', summary: '' }],
    ['guardrail', { blocked: true, findings: [{ ...FINDING, type: 'PII' }], summary: '' }],
    ['guardrail', { blocked: true, findings: [{ ...FINDING, type: null }], summary: '' }],
    ['guardrail', { blocked: true, findings: [{ ...FINDING, severity: 'CRITICAL' }], summary: '' }],
    ['decision', { action: 'Override', reasoning: 'x', adr: 'x' }],
    ['decision', { reasoning: 'x', adr: 'x' }],
    ['task', { files_changed: [], explanation: '', commands_run: [] }],
    ['task', { output: ' \n', files_changed: [], explanation: '', commands_run: [] }],
    ['context', { relevant_files: [] }],
  ])('is exact: %s %j', (role, value) => {
    expect(read(role, value)).toMatchObject({ valid: false });
  });

  it('is not read from an answer that was cut', () => {
    expect(read('code_review', REVIEW, 'length')).toEqual({
      valid: false,
      faults: ['it ended with "length" instead of a normal stop'],
    });
  });

  it.each(['high', 'critical'])('counts by its stricter half: a pass beside a %s issue', (severity) => {
    const { verdict, summary, notes } = valueOf('code_review', {
      verdict: 'pass',
      issues: [ISSUE, { ...ISSUE, severity }],
      summary: 'Fine.',
    });
    expect(verdict).toBe('needs_refactor');
    expect(summary).toMatch(/^Fine\.\n\nThe verdict "pass" stands beside/);
    expect(notes).toHaveLength(1);
  });

  it('is no other key that only holds its name', () => {
    const text = '{"verdict":"pass","verdict_by":"reject","my verdict":"reject","issues":[],"summary":""}';
    expect(valueOf('code_review', text).verdict).toBe('pass');
  });

  it('stands where nothing contradicts it', () => {
    const passing = { verdict: 'pass', issues: [{ ...ISSUE, severity: 'medium' }], summary: '' };
    expect(valueOf('code_review', passing)).toEqual(passing);
    const open = { blocked: false, findings: [FINDING], summary: '' };
    expect(valueOf('guardrail', open)).toEqual(open);
    expect(valueOf('code_review', { ...REVIEW, verdict: 'reject' }).verdict).toBe('reject');
  });

  it.each([{}, { findings: null }])('has an empty list for an absent one', (more) => {
    expect(valueOf('guardrail', { blocked: true, summary: '', ...more })).toEqual({
      blocked: true,
      findings: [],
      summary: '',
    });
  });

  it('keeps the most severe of too many', () => {
    const many = Array.from({ length: 400 }, (_, index) => ({
      ...FINDING,
      severity: index === 399 ? 'critical' : 'low',
      evidence: `src/a.ts:${index}`,
    }));
    const { findings } = valueOf('guardrail', { blocked: false, findings: many, summary: '' });
    expect(findings).toHaveLength(200);
    expect(findings[0]).toMatchObject({ severity: 'critical' });
  });
});

describe('what describes', () => {
  it.each([
    [12, 12],
    ['12', 12],
    ['12-15', 12],
    ['12–15', 12],
    ['L12', 12],
    ['L12-L15', 12],
    ['#L7', 7],
    ['line 12', 12],
    ['Lines: 12 to 15', 12],
    ['12:5', 12],
    ['src/a2.ts:12', 12],
    ['~40', 40],
    [[12, 15], 12],
    [['12-15'], 12],
    [{ start: 12, end: 15 }, 12],
    [12.7, 12],
    [null, null],
    [undefined, null],
    ['', null],
    ['n/a', null],
    ['a2', null],
    [-3, null],
    [1e12, null],
    [true, null],
    [[], null],
    [{}, null],
  ])('is mended: the line %j is %j', (line, expected) => {
    const { issues, verdict } = valueOf('code_review', { ...REVIEW, issues: [{ ...ISSUE, line }] });
    expect([verdict, issues[0]?.line]).toEqual(['needs_refactor', expected]);
  });

  it('is mended where it is missing, null, of another type, or more than was asked for', () => {
    const answer = {
      verdict: 'reject',
      confidence: 0.9,
      issues: [
        { severity: 'low' },
        {
          severity: 'medium',
          description: ['One.', 'Two.'],
          file: null,
          line: '9',
          suggestion: { do: 'this' },
          code: 'x',
        },
        { severity: 'high', description: 7, file: 'src/b.ts', line: null, suggestion: null },
      ],
    };
    expect(valueOf('code_review', answer)).toEqual({
      verdict: 'reject',
      summary: '',
      issues: [
        { severity: 'low', description: '(no description)', file: null, line: null, suggestion: null },
        {
          severity: 'medium',
          description: 'One.\nTwo.',
          file: null,
          line: 9,
          suggestion: '{\n  "do": "this"\n}',
        },
        { severity: 'high', description: '7', file: 'src/b.ts', line: null, suggestion: null },
      ],
      notes: [
        'issues.0.description: mended.',
        'issues.1.description: mended.',
        'issues.1.line: mended.',
        'issues.1.suggestion: mended.',
        'issues.1: 1 unknown key(s) were left out.',
        'issues.2.description: mended.',
        'the answer: 1 unknown key(s) were left out.',
      ],
    });
  });

  it('is mended: texts for lists', () => {
    const answer = {
      curated_context: 'All.',
      relevant_files: '- src/a.ts\n- src/b.ts\n',
      key_patterns: '["one", "two"]',
      recommendations: ['First.', 'Second.'],
    };
    expect(valueOf('context', answer)).toMatchObject({
      relevant_files: ['src/a.ts', 'src/b.ts'],
      key_patterns: ['one', 'two'],
      recommendations: 'First.\nSecond.',
    });
    const task = { output: { done: true }, files_changed: 'src/a.ts', commands_run: [null, 'npm test', 3] };
    expect(valueOf('task', task)).toMatchObject({
      output: '{\n  "done": true\n}',
      files_changed: ['src/a.ts'],
      explanation: '',
      commands_run: ['npm test', '3'],
    });
  });

  it('is cut, not refused, where it is too long', () => {
    const { summary, issues } = valueOf('code_review', {
      ...REVIEW,
      summary: 'x'.repeat(100_000),
      issues: [{ ...ISSUE, file: 'y'.repeat(5_000) }],
    });
    expect(summary).toMatch(/^x+\n\[… \d+ characters cut …\]\nx+$/);
    expect([summary.length <= 20_000, (issues[0]?.file ?? '').length <= 1_000]).toEqual([true, true]);
  });

  it('may be given twice', () => {
    const text = '{"verdict":"pass","issues":[],"summary":"a","summary":"b"}';
    expect(valueOf('code_review', text)).toEqual({
      verdict: 'pass',
      issues: [],
      summary: 'b',
      notes: ['A key was given more than once; its last value counts.'],
    });
  });

  it('stands for what a decision leaves out', () => {
    expect(valueOf('decision', { action: 'escalate', reasoning: 'Unsure.' })).toEqual({
      action: 'escalate',
      reasoning: 'Unsure.',
      adr: 'Unsure.',
      escalation_message: 'Unsure.',
    });
  });

  it('is never a reason to fail, whatever it is', () => {
    const anything = fc.jsonValue({ maxDepth: 4 });
    fc.assert(
      fc.property(anything, anything, anything, anything, (description, file, line, summary) => {
        const issue = { severity: 'low', description, file, line, suggestion: summary };
        const { verdict, issues } = valueOf('code_review', { verdict: 'reject', summary, issues: [issue], more: file });
        expect([verdict, issues.length]).toEqual(['reject', 1]);
      }),
    );
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    expect(valueOf('code_review', `{"verdict":"reject","summary":${deep},"x":${deep}}`).verdict).toBe('reject');
  });

  it('never throws for any text', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ROLES), fc.string({ unit: 'binary' }), (role, text) => {
        read(role, text);
      }),
    );
  });
});
