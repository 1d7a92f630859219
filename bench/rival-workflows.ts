/**
 * The rival of `tasks.ts`, as a process of its own: durable workflows of four steps that do nothing, on DBOS. Reads the
 * connection string, the number of workflows and how many run at once from its arguments; prints one line of JSON.
 */
import { DBOS } from '@dbos-inc/dbos-sdk';
import { closedLoop, percentiles } from './load.js';

const [systemDatabaseUrl = '', count = '', atOnce = '', alone = ''] = process.argv.slice(2);
const STEPS = ['context', 'task', 'guardrail', 'code_review'];

const workflow = DBOS.registerWorkflow(
  async (input: string) => {
    let last: unknown = input;
    for (const name of STEPS)
      last = await DBOS.runStep(async () => ({ role: name, output: 'x'.repeat(200) }), { name });
    return last;
  },
  { name: 'four-steps' },
);

DBOS.setConfig({ name: 'rival', systemDatabaseUrl, runAdminServer: false, logLevel: 'error' });
await DBOS.launch();
const one = async (): Promise<unknown> => (await DBOS.startWorkflow(workflow)('do the work')).getResult();
await closedLoop(50, 10, one);
const times = await closedLoop(Number(alone), 1, one);
const started = performance.now();
await closedLoop(Number(count), Number(atOnce), one);
const rate = (Number(count) * 1_000) / (performance.now() - started);
console.log(JSON.stringify({ rate, ...percentiles(times) }));
await DBOS.shutdown();
process.exit(0);
