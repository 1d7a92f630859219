import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Agent, setGlobalDispatcher } from 'undici';
import type { PodRole } from '../modules/pods/index.js';
import { Api } from './api.js';
import { Narrator } from './narrator.js';
import { ROLE_ACCOUNTS } from './role-accounts.js';
import { DemoRepository } from './demo-repository.js';
import { ServiceProcess } from './service-process.js';
import { missing } from './story.js';

const SAMPLE = fileURLToPath(new URL('./sample', import.meta.url));
const REQUEST =
  'The tests of this repository fail: both functions in src/price.js take the discount for a fraction, but callers give a ' +
  'percentage. Fix the bug so that the tests pass, and add the headers for the price provider described in config/provider.txt.';

/** Follows the task and tells what each stage saw, decided and cost. */
async function follow(api: Api, id: string, narrator: Narrator): Promise<void> {
  let feedback = 0;
  for await (const event of api.events(id)) {
    const { role, iteration } = event.data as { role: PodRole; iteration: number };
    if (event.type === 'stage.started') narrator.stageStarted(role, iteration, ROLE_ACCOUNTS[role].saw(feedback));
    if (event.type === 'stage.finished') {
      narrator.stageFinished(event);
      feedback += (await ROLE_ACCOUNTS[role].tell?.(api, id, iteration, narrator)) ?? 0;
    }
    if (event.type === 'task.retried') narrator.line(`  the task waits and goes on: ${String(event.data.reason)}`);
    if (event.type === 'gate.opened') narrator.line(`  a person must decide: ${String(event.data.reason)}`);
  }
}

async function main(): Promise<number> {
  // The service is on this machine: no proxy by which Node's own fetch may go (`NODE_USE_ENV_PROXY`) leads to it.
  setGlobalDispatcher(new Agent());
  const { values } = parseArgs({
    options: { model: { type: 'string' }, sample: { type: 'string' }, keep: { type: 'boolean' } },
  });
  const model = values.model ?? process.env.DEFAULT_CHAT_MODEL ?? 'script/demo';
  const scripted = model.startsWith('script/');
  const sample = values.sample ?? SAMPLE;
  if (!existsSync(sample)) throw new Error(`There is no sample at ${sample}.`);

  const narrator = new Narrator();
  narrator.title('Nova Orchestrator: one task through the Quartet');
  if (scripted) {
    narrator.line('The words of the model are scripted. Everything else is real: the service, its');
    narrator.line(
      'database, the queue, the tools, the files, the guardrail’s rules, the tests. --model <id> uses a real one.',
    );
  }
  const repository = DemoRepository.create(sample);
  let service: ServiceProcess | null = null;
  try {
    const before = repository.test();
    narrator.line(`The repository’s own tests before: ${before.passed} pass, ${before.failed} fail.`);
    service = await ServiceProcess.start(repository.scratch, {
      NOVA_DATA_DIR: join(repository.scratch, 'data'),
      NOVA_WORKSPACE: repository.path,
      HOST: '127.0.0.1',
      PORT: '0',
      REQUIRE_AUTH: 'false',
      DEFAULT_CHAT_MODEL: model,
    });
    narrator.line(`The service is ready at ${service.url}.`);
    const api = new Api(service.url);
    const problem = await api.sandboxProblem();
    narrator.line(
      problem === null
        ? 'Commands run in a sandbox here: the task stage runs the repository’s tests in it.'
        : `Commands cannot be confined here (${problem}), so the task stage runs none: its shell refuses.`,
    );
    const id = await api.submit({ user_input: REQUEST, pod_name: 'Quartet' });
    narrator.line(`POST /api/v1/pipeline/tasks → ${id}`);
    await follow(api, id, narrator);

    const [task, findings, reviews, artifacts] = await Promise.all([
      api.task(id),
      api.findings(id),
      api.reviews(id),
      api.artifacts(id),
    ]);
    const after = repository.test();
    const diff = artifacts.find((artifact) => artifact.artifact_type === 'diff')?.content ?? '';
    narrator.result(task, findings, reviews, artifacts, diff);
    narrator.line(`The repository’s own tests after: ${after.passed} pass, ${after.failed} fail.`);

    const gaps = missing({ scripted, sandboxed: problem === null, before, after, task, findings, reviews, diff });
    if (gaps.length === 0) {
      narrator.title(
        problem === null
          ? 'The story is whole.'
          : 'The story is whole, but for the tests that the task stage could not run.',
      );
      return 0;
    }
    narrator.title('This is not the story that the demo tells. What did not happen:');
    for (const gap of gaps) narrator.line(`- ${gap}`);
    return 1;
  } finally {
    await service?.stop();
    if (values.keep) narrator.line(`Everything is kept in ${repository.scratch}.`);
    else repository.remove();
  }
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});
