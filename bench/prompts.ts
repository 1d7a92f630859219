/**
 * The cost of the prompts of a Quartet task, and how much of them a provider's cache can serve: tasks of the seeded Quartet, each
 * with another request, asked of an endpoint that keeps what it is sent. A cache serves the longest beginning that a prompt
 * shares with an earlier one, in steps of 128 tokens from 1,024 on, as OpenAI's does. Tokens are estimated at four bytes.
 * Prints model calls, prompt tokens and the share that is served, by tool rounds of the task stage and by role.
 *
 *   npm run bench:prompts
 */
import { ModelServer, type Answer } from '../test/support/model-server.js';
import { startPostgres } from '../test/support/servers/index.js';
import { startService, type Service } from '../test/support/service.js';
import { PASSING, roleIn, streamed, type StageRole } from '../test/support/stage-models.js';

const TASKS = 6;
const ROUNDS = [0, 3];
const BYTES_PER_TOKEN = 4;
const SMALLEST = 1_024;
const STEP = 128;

/** One prompt as its endpoint reads it: tools first, then the messages. */
interface Prompt {
  role: StageRole;
  text: Buffer;
}

const server = await startPostgres();
const models = await ModelServer.start();
const service = await startService({
  DATABASE_URL: server.url(),
  LLM_BASE_URL: models.url,
  DEFAULT_CHAT_MODEL: 'bench',
});
try {
  for (const rounds of ROUNDS) {
    const tasks: Prompt[][] = [];
    for (let task = 0; task < TASKS; task += 1) tasks.push(await promptsOf(service, rounds, task));
    report(rounds, tasks);
  }
} finally {
  await service.stop();
  await models.stop();
  await server.stop();
}

/** Runs one task to its end; the prompts that its endpoint got, in the order of arrival. */
async function promptsOf(at: Service, rounds: number, task: number): Promise<Prompt[]> {
  let left = rounds;
  const answer: Answer = (response, asked) => {
    if (!asked.path.endsWith('/chat/completions')) return void response.writeHead(404).end();
    const role = roleIn(JSON.stringify(asked.body.messages)) ?? 'task';
    const looks = role === 'task' && left > 0;
    if (looks) left -= 1;
    const call = { name: 'search_codebase', arguments: { pattern: `words of round ${left}` } };
    return streamed(looks ? { tool_calls: [call] } : PASSING[role])(response, asked);
  };
  models.willAnswer(answer);
  const json = { user_input: `Write the ${task}. of several texts, about ${'much '.repeat(task * 10)}more.` };
  const submitted = await at.admin('/api/v1/pipeline/tasks', { method: 'POST', json });
  const { task_id: id } = (await submitted.json()) as { task_id: string };
  const events = await (await at.admin(`/api/v1/pipeline/tasks/${id}/events`)).text();
  if (!events.includes('"status":"complete"')) throw new Error(`a task did not complete:\n${events}`);
  return models.asked
    .filter(({ path }) => path.endsWith('/chat/completions'))
    .map(({ body }) => ({
      role: roleIn(JSON.stringify(body.messages)) ?? 'task',
      text: Buffer.from(`${JSON.stringify(body.tools ?? [])}${JSON.stringify(body.messages)}`),
    }));
}

function report(rounds: number, tasks: readonly Prompt[][]): void {
  const seen: Buffer[] = [];
  const perTask = tasks.map((prompts) =>
    prompts.map(({ role, text }) => {
      const served = servedTokens(text, seen);
      seen.push(text);
      return { role, tokens: tokensOf(text.length), served };
    }),
  );
  const [first = [], ...later] = perTask;
  console.log(`${rounds} tool rounds: ${first.length} model calls, ${total(first, 'tokens')} prompt tokens a task`);
  console.log(`  the first task: ${share(first)} of them served by a cache`);
  console.log(`  later tasks: ${share(later.flat())}`);
  for (const role of ['context', 'task', 'guardrail', 'code_review'] as const) {
    const of = later.flat().filter((prompt) => prompt.role === role);
    console.log(`    ${role}: ${Math.round(total(of, 'tokens') / later.length)} tokens a task, ${share(of)}`);
  }
}

function servedTokens(text: Buffer, seen: readonly Buffer[]): number {
  const longest = Math.max(0, ...seen.map((earlier) => commonBytes(text, earlier)));
  const tokens = Math.floor(longest / BYTES_PER_TOKEN / STEP) * STEP;
  return tokens < SMALLEST ? 0 : tokens;
}

function commonBytes(one: Buffer, other: Buffer): number {
  const most = Math.min(one.length, other.length);
  for (let at = 0; at < most; at += 1) if (one[at] !== other[at]) return at;
  return most;
}

function tokensOf(bytes: number): number {
  return Math.ceil(bytes / BYTES_PER_TOKEN);
}

function total(prompts: readonly { tokens: number; served: number }[], figure: 'tokens' | 'served'): number {
  return prompts.reduce((sum, prompt) => sum + prompt[figure], 0);
}

function share(prompts: readonly { tokens: number; served: number }[]): string {
  return `${((100 * total(prompts, 'served')) / Math.max(1, total(prompts, 'tokens'))).toFixed(0)} %`;
}
