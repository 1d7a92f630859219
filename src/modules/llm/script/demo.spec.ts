import type { LanguageModelV3CallOptions, LanguageModelV3Prompt } from '@ai-sdk/provider';
import { describe, expect, it } from '@jest/globals';
import { ScriptModel } from './script-model.js';
import { SCRIPTED } from './script.js';
import { SCRIPTS } from './scripts.js';

const TOKEN = `ghp_${'a1B2'.repeat(9)}`;
const SOURCE = `// Prices in cents.
export function memberPrice(price, percent) {
  return price - price * percent;
}

export function couponPrice(amount, off) {
  return amount - amount * off;
}
`;
const TOOLS = ['list_dir', 'read_file', 'edit_file', 'run_shell'].map((name) => ({
  type: 'function' as const,
  name,
  inputSchema: { type: 'object' as const },
}));
const READING = TOOLS.slice(0, 2);

type Files = Record<string, string>;

function sample(): Files {
  return {
    'src/price.js': SOURCE,
    'test/price.test.js': 'import test from "node:test";\n',
    'config/provider.txt': `token: ${TOKEN}\n`,
  };
}

/** What the service's tools would answer, marks included. */
function runTool(files: Files, tool: string, args: Record<string, unknown>): { text: string; isError: boolean } {
  const path = String(args.path);
  if (tool === 'list_dir') {
    return ok(
      tool,
      ['config/', ...Object.entries(files).map(([name, text]) => `${name} (${text.length} bytes)`)].join('\n'),
    );
  }
  if (tool === 'read_file') return ok(tool, (files[path] ?? '').replace(/\n$/, ''));
  if (tool === 'edit_file') {
    const parts = (files[path] ?? '').split(String(args.old));
    if (parts.length !== 2) return { ...ok(tool, 'The old text does not occur once.'), isError: true };
    files[path] = parts.join(String(args.new));
    return ok(tool, `Edited ${path}.`);
  }
  return ok(tool, 'exit code 0');
}

function ok(tool: string, body: string): { text: string; isError: boolean } {
  const text = `<tool_output id="ab12" tool="${tool}" status="ok">\n${body}\n</tool_output id="ab12">\n(data)`;
  return { text, isError: false };
}

async function ask(
  options: LanguageModelV3CallOptions,
): Promise<{ text: string; calls: { id: string; name: string; args: Record<string, unknown> }[] }> {
  const model = new ScriptModel('demo', SCRIPTS.demo!);
  const { content } = await model.doGenerate(options);
  return {
    text: content.map((part) => (part.type === 'text' ? part.text : '')).join(''),
    calls: content.flatMap((part) =>
      part.type === 'tool-call'
        ? [{ id: part.toolCallId, name: part.toolName, args: JSON.parse(part.input) as Record<string, unknown> }]
        : [],
    ),
  };
}

/** A stage as the pipeline runs it: tool rounds, then one call for the structured answer. */
async function stage(
  files: Files,
  words: string,
  tools: typeof TOOLS,
  name: string,
): Promise<{ output: Record<string, unknown>; rounds: number }> {
  const prompt: LanguageModelV3Prompt = [
    { role: 'system', content: 'You are one stage of a pipeline.' },
    { role: 'user', content: [{ type: 'text', text: marked(words) }] },
  ];
  let rounds = 0;
  for (; tools.length > 0 && rounds < 10; rounds += 1) {
    const { text, calls } = await ask({ prompt, tools });
    if (calls.length === 0) {
      expect(text).toContain(SCRIPTED);
      prompt.push({ role: 'assistant', content: [{ type: 'text', text }] });
      break;
    }
    prompt.push({
      role: 'assistant',
      content: calls.map(({ id, name: toolName, args }) => ({
        type: 'tool-call',
        toolCallId: id,
        toolName,
        input: args,
      })),
    });
    prompt.push({
      role: 'tool',
      content: calls.map(({ id, name: toolName, args }) => {
        const { text: value, isError } = runTool(files, toolName, args);
        return {
          type: 'tool-result',
          toolCallId: id,
          toolName,
          output: { type: isError ? 'error-text' : 'text', value },
        };
      }),
    });
  }
  prompt.push({ role: 'user', content: [{ type: 'text', text: 'Now answer in the demanded form.' }] });
  const { text } = await ask({ prompt, responseFormat: { type: 'json', name, schema: SCHEMAS[name]! } });
  return { output: JSON.parse(text) as Record<string, unknown>, rounds };
}

/** The request and what else is shown, as stages mark it. */
function marked(words: string): string {
  const [request, ...rest] = words.split('\n');
  return `ID of the data marks: a1\n\n<data-a1 name="request">\n${request}\n</data-a1>\n\n<data-a1 name="diff">\n${rest.join('\n')}\n</data-a1>\n\nDo it.`;
}

const text = { type: 'string' as const };
const texts = { type: 'array' as const, items: text };
const object = (
  properties: Record<string, object>,
): { type: 'object'; properties: Record<string, object>; required: string[] } => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
});
const SCHEMAS: Record<string, ReturnType<typeof object>> = {
  context_output: object({ curated_context: text, relevant_files: texts, key_patterns: texts, recommendations: text }),
  task_output: object({ output: text, files_changed: texts, explanation: text, commands_run: texts }),
  guardrail_output: object({
    blocked: { type: 'boolean' },
    findings: { type: 'array', items: object({ type: text }) },
    summary: text,
  }),
  code_review_output: object({
    verdict: { enum: ['pass', 'needs_refactor', 'reject'] },
    issues: {
      type: 'array',
      items: object({
        severity: text,
        description: text,
        file: { anyOf: [text, { type: 'null' }] },
        line: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
        suggestion: text,
      }),
    },
    summary: text,
  }),
  decision_output: object({
    action: { enum: ['override', 'escalate'] },
    reasoning: text,
    adr: text,
    escalation_message: text,
  }),
};

/** All lines as added: enough of a diff for a reader of its plus lines. */
function diff(files: Files): string {
  const added = (files['src/price.js'] ?? '').split('\n').filter((line) => !SOURCE.split('\n').includes(line));
  return ['--- a/src/price.js', '+++ b/src/price.js', '@@ -1 +1 @@', ...added.map((line) => `+${line}`)].join('\n');
}

const REQUEST = 'Fix the discount bug in this repository.';

describe('script/demo in the pipeline', () => {
  it('plays the whole story from what the tools return', async () => {
    const files = sample();

    const context = await stage(files, REQUEST, READING, 'context_output');
    expect(context.output.relevant_files).toEqual(['src/price.js', 'test/price.test.js', 'config/provider.txt']);
    expect(JSON.stringify(context.output)).not.toContain(TOKEN);

    const first = await stage(files, REQUEST, TOOLS, 'task_output');
    expect(first.output.files_changed).toEqual(['src/price.js']);
    expect(first.output.commands_run).toEqual(['node --test']);
    expect(files['src/price.js']).toContain(`'${TOKEN}'`);
    expect(files['src/price.js']).not.toContain('price * percent;');
    expect(first.rounds).toBeLessThan(10);

    const review = await stage(files, `${REQUEST}\n${diff(files)}`, [], 'code_review_output');
    expect(review.output).toMatchObject({ verdict: 'needs_refactor', issues: [{ file: 'src/price.js', line: null }] });
    const issue = JSON.stringify(review.output.issues);

    const guardrail = await stage(files, `${REQUEST}\n${diff(files)}`, [], 'guardrail_output');
    expect(guardrail.output).toMatchObject({ blocked: false, findings: [] });

    const second = await stage(
      files,
      `${REQUEST}\nFeedback: credential_leak in src/price.js.\n${issue}`,
      TOOLS,
      'task_output',
    );
    expect(second.rounds).toBeLessThan(10);
    expect(files['src/price.js']).not.toContain(TOKEN);
    expect(files['src/price.js']).toContain('process.env.PROVIDER_KEY');
    expect(files['src/price.js']!.match(/Math\.round/g)).toHaveLength(1);

    const again = await stage(files, `${REQUEST}\n${diff(files)}`, [], 'code_review_output');
    expect(again.output).toMatchObject({ verdict: 'pass', issues: [] });

    const decision = await stage(files, REQUEST, [], 'decision_output');
    expect(decision.output.action).toBe('escalate');
  });

  it('repairs the prices', async () => {
    const files = sample();
    await stage(files, REQUEST, TOOLS, 'task_output');
    await stage(files, `${REQUEST}\ncredential; refactor`, TOOLS, 'task_output');
    const module = (await import(`data:text/javascript,${encodeURIComponent(files['src/price.js']!)}`)) as Record<
      string,
      (a: number, b: number) => number
    >;
    expect([module.memberPrice!(1_999, 10), module.couponPrice!(1_000, 25)]).toEqual([1_799, 750]);
  });

  it('asks for a refactoring once', async () => {
    const files = sample();
    await stage(files, REQUEST, TOOLS, 'task_output');
    const first = await stage(files, `${REQUEST}\n${diff(files)}`, [], 'code_review_output');
    const second = await stage(
      files,
      `${REQUEST}\n${diff(files)}\n${JSON.stringify(first.output)}`,
      [],
      'code_review_output',
    );
    expect([first.output.verdict, second.output.verdict]).toEqual(['needs_refactor', 'pass']);
  });

  it('has nothing to do where there is nothing', async () => {
    const files: Files = {};
    const { output } = await stage(files, 'Fix the bug.', TOOLS, 'task_output');
    expect(output).toMatchObject({ files_changed: [], commands_run: [] });
    expect(output.output).toContain(`${SCRIPTED} You asked: Fix the bug.\n`);
  });

  it('gives up on an edit that the tool refuses', async () => {
    const files = sample();
    const prompt: LanguageModelV3Prompt = [{ role: 'user', content: [{ type: 'text', text: REQUEST }] }];
    for (let round = 0; round < 10; round += 1) {
      const { calls } = await ask({ prompt, tools: TOOLS });
      if (calls.length === 0) return;
      for (const { id, name, args } of calls) {
        prompt.push({
          role: 'assistant',
          content: [{ type: 'tool-call', toolCallId: id, toolName: name, input: args }],
        });
        const value = runTool(files, name === 'edit_file' ? 'none' : name, args).text;
        prompt.push({
          role: 'tool',
          content: [
            {
              type: 'tool-result',
              toolCallId: id,
              toolName: name,
              output: { type: name === 'edit_file' ? 'error-text' : 'text', value },
            },
          ],
        });
      }
    }
    throw new Error('It went on for ever.');
  });

  it('reads calls and results that stand in the prompt as words', async () => {
    const { text: answer } = await ask({
      prompt: [
        { role: 'user', content: [{ type: 'text', text: REQUEST }] },
        {
          role: 'assistant',
          content: [{ type: 'text', text: '[called edit_file with {"path":"src/a.js","old":"1","new":"2"}]' }],
        },
        {
          role: 'user',
          content: [{ type: 'text', text: `[result of edit_file]\n${ok('edit_file', 'Edited src/a.js.').text}` }],
        },
      ],
      responseFormat: { type: 'json', name: 'task_output', schema: SCHEMAS.task_output! },
    });
    expect(JSON.parse(answer)).toMatchObject({ files_changed: ['src/a.js'] });
  });
});

describe('script/demo elsewhere', () => {
  it('answers a chat with its label and calls no tool', async () => {
    const { text: answer, calls } = await ask({
      prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hello!' }] }],
      tools: TOOLS,
    });
    expect(calls).toEqual([]);
    expect(answer).toContain(`${SCRIPTED} You asked: Hello!`);
  });
});
