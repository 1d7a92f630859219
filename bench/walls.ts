/**
 * What one request, answer or repository of hostile size costs the service: the most CPU time of one turn of its event loop, which
 * bounds that of each callback in it, and the most memory above idle. Every case is sent some times in a row to the built service.
 *
 *   npm run bench:walls
 */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ModelServer, says } from '../test/support/model-server.js';
import { startTestServers } from '../test/support/servers/test-servers.js';
import { startService, type LogLine } from '../test/support/service.js';
import { streamed } from '../test/support/stage-models.js';

const ROUNDS = 5;
/** No request, answer, message or repository may take more; the exit code tells that one did. */
const [MOST_CPU_MS, MOST_MIB] = [50, 64];
const MIB = 2 ** 20;
const PROBE = fileURLToPath(new URL('walls/probe.mjs', import.meta.url));

const servers = await startTestServers();
const models = await ModelServer.start();
const calls = (pattern: string) =>
  streamed({ tool_calls: Array.from({ length: 8 }, () => ({ name: 'search_codebase', arguments: { pattern } })) });
models.willAnswer((response, asked) => {
  const messages = (asked.body.messages ?? []) as { role: string }[];
  const pattern = asked.body.model === 'large' ? 'a{0,1000}'.repeat(111) : '(a{0,30}){0,30}b';
  if (asked.body.model === 'wordy') return says('x'.repeat(4 * MIB))(response, asked);
  return (messages.at(-1)?.role === 'tool' ? says('done') : calls(pattern))(response, asked);
});
const service = await startService({
  REQUIRE_AUTH: 'true',
  LOG_LEVEL: 'INFO',
  LLM_BASE_URL: models.url,
  DEFAULT_CHAT_MODEL: 'large',
  NODE_OPTIONS: `--import ${PROBE}`,
});
try {
  const { raw_key: key } = await service.createKey();
  mkdirSync(service.workspace, { recursive: true });
  for (let count = 0; count < 20; count += 1) {
    writeFileSync(join(service.workspace, `f${count}`), `${'a'.repeat(2_000)}\n`.repeat(500));
  }
  const send = async (path: string, body: string | Buffer, credential?: string): Promise<number> => {
    const outgoing = request(`${service.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(credential !== undefined && { 'x-api-key': credential }) },
    });
    outgoing.on('error', () => undefined).end(body);
    const [response] = (await once(outgoing, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    return response.statusCode;
  };
  const agents = new Map<string, string>();
  for (const model of ['large', 'slow', 'wordy']) {
    const made = await service.fetch('/api/v1/agents', {
      method: 'POST',
      headers: { 'x-api-key': key },
      json: { config: { name: model, model, tools: ['search_codebase'] } },
    });
    agents.set(model, ((await made.json()) as { id: string }).id);
  }
  for (let count = 0; count < 150; count += 1) {
    await service.admin('/api/v1/agents', {
      method: 'POST',
      json: { config: { name: `a${count}`, system_prompt: '€'.repeat(100_000) } },
    });
  }
  const turn = (model: string) => (): Promise<unknown> =>
    send(
      '/api/v1/tasks',
      JSON.stringify({ agent_id: agents.get(model), messages: [{ role: 'user', content: 'search' }] }),
      key,
    );
  const submission = (padding: string): string => `{"user_input":"x","metadata":{"a":${padding}}}`;
  const cases: Record<string, () => Promise<unknown>> = {
    'a health probe': () => service.fetch('/health/live'),
    'a body of 4 MiB without a key': () => send('/api/v1/pipeline/tasks', `[${'0,'.repeat(2 * MIB - 2)}0]`),
    'a body of 2,000,000 values': () =>
      send('/api/v1/pipeline/tasks', submission(`[${'0,'.repeat(2 * MIB - 100)}0]`), key),
    'a body of 49,000 values': () => send('/api/v1/pipeline/tasks', submission(`[${'{"b":0},'.repeat(24_000)}0]`), key),
    'a body of 1,000,000 levels': () => send('/api/v1/pipeline/tasks', submission('['.repeat(MIB)), key),
    'a text of 4 MiB': () => send('/api/v1/pipeline/tasks', submission(`"${'x'.repeat(4 * MIB - 200)}"`), key),
    'a list of 150 agents of 300 KB': async () => (await service.admin('/api/v1/agents?limit=150')).arrayBuffer(),
    'patterns that are large once compiled': turn('large'),
    'patterns that are slow to match': turn('slow'),
    'an answer of a model of 4 MiB in one piece': turn('wordy'),
  };
  const read = async (): Promise<{ cpuMs: number; rss: number }> => {
    const before = service.logs.length;
    service.signal('SIGUSR2');
    for (;;) {
      const line = service.logs.slice(before).find(({ message }: LogLine) => message === 'walls');
      if (line !== undefined) return { cpuMs: Number(line['cpu_ms']), rss: Number(line['rss']) };
      await delay(5);
    }
  };
  for (const [name, work] of Object.entries(cases)) {
    await delay(500);
    await read();
    const idle = (await read()).rss;
    const cpu: number[] = [];
    let most = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      await work();
      const { cpuMs, rss } = await read();
      cpu.push(cpuMs);
      most = Math.max(most, rss);
    }
    const sorted = cpu.toSorted((a, b) => a - b);
    const [worstMs, memory] = [sorted.at(-1) ?? 0, (most - idle) / MIB];
    if (worstMs > MOST_CPU_MS || memory > MOST_MIB) process.exitCode = 1;
    console.log(
      `${name}: CPU of one turn of the loop median ${(sorted[Math.floor(ROUNDS / 2)] ?? 0).toFixed(1)} ms, ` +
        `most ${worstMs.toFixed(1)} ms; memory ${memory.toFixed(1)} MiB above idle`,
    );
  }
} finally {
  await service.stop();
  await models.stop();
  await servers.stop();
}
