import { Logger } from '@nestjs/common';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { callOf, createLlm, failureOf, MapLiveState, SetClock, type Llm } from './llm-setup.js';
import { fails, ModelServer, says, streams, chunk } from '../../support/model-server.js';

const MINUTE = 60_000;

describe('the cool-down of an overloaded provider', () => {
  let server: ModelServer;
  let ollama: ModelServer;
  beforeAll(async () => {
    server = await ModelServer.start();
    ollama = await ModelServer.start();
    jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });
  afterAll(async () => {
    await server.stop();
    await ollama.stop();
  });
  const worker = (shared?: { live: MapLiveState; clock: SetClock }): Llm =>
    createLlm({ LLM_BASE_URL: server.url, OLLAMA_BASE_URL: ollama.url }, shared);

  it.each([429, 502, 503, 504, 529])('status %d keeps every worker away for as long as was asked', async (status) => {
    server.willAnswer(fails(status, {}, { 'retry-after': '7' }));
    const first = worker();
    const second = worker(first);
    const failure = await failureOf(first.service.call(['m'], callOf()));
    expect(failure.details).toMatchObject({ statusCode: status, retryAt: first.clock.ms + 7_000 });
    expect(['cooling', 'rate_limited']).toContain(failure.kind);

    server.willAnswer(says('again'));
    const cooling = await failureOf(second.service.call(['another-model'], callOf()));
    expect(cooling).toMatchObject({
      kind: 'cooling',
      details: { retryAt: first.clock.ms + 7_000, provider: 'gateway' },
    });
    expect(server.asked).toHaveLength(0);

    first.clock.ms += 7_000;
    expect((await second.service.call(['m'], callOf())).text).toBe('again');
  });

  it.each([400, 401, 403, 404, 500, 501])('status %d cools nobody', async (status) => {
    server.willAnswer(fails(status, {}, { 'retry-after': '7' }));
    const { service, live } = worker();
    const failure = await failureOf(service.call(['m'], callOf()));
    expect(failure.details.retryAt).toBeUndefined();
    expect(live.values.size).toBe(0);
  });

  it('takes a date, and never more than five minutes', async () => {
    const { service, clock } = worker();
    server.willAnswer(fails(503, {}, { 'retry-after': new Date(clock.ms + 42_000).toUTCString() }));
    expect((await failureOf(service.call(['m'], callOf()))).details.retryAt).toBe(clock.ms + 42_000);
    clock.ms += MINUTE;
    server.willAnswer(fails(503, {}, { 'retry-after': '86400' }));
    expect((await failureOf(service.call(['m'], callOf()))).details.retryAt).toBe(clock.ms + 5 * MINUTE);
  });

  it('backs off longer each time, up to five minutes, and starts anew after a success', async () => {
    server.willAnswer(fails(503));
    const { service, clock, live } = worker();
    const waits: number[] = [];
    const fail = async (): Promise<void> => {
      const { retryAt } = (await failureOf(service.call(['m'], callOf()))).details;
      waits.push(retryAt! - clock.ms);
      clock.ms = retryAt!;
    };
    for (let time = 0; time < 12; time += 1) await fail();
    waits.forEach((wait, time) => {
      const backoff = Math.min(5 * MINUTE, 2_000 * 2 ** time);
      expect(wait).toBeGreaterThanOrEqual(Math.floor(backoff / 2));
      expect(wait).toBeLessThanOrEqual(backoff);
    });
    server.willAnswer(says('fine'));
    await service.call(['m'], callOf());
    expect(live.values.size).toBe(0);
    server.willAnswer(fails(503));
    await fail();
    expect(waits.at(-1)).toBeLessThanOrEqual(2_000);
  });

  it('counts calls that fail together as one failure', async () => {
    server.willAnswer(fails(503));
    const { service, clock } = worker();
    const failures = await Promise.all(Array.from({ length: 20 }, () => failureOf(service.call(['m'], callOf()))));
    for (const failure of failures) expect(failure.details.retryAt! - clock.ms).toBeLessThanOrEqual(2_000);
  });

  it.each([
    ['of this process', true],
    ['of all processes', false],
  ])('is not ended by the success of a call that began before it: the memory %s', async (_, gone) => {
    const { service, live, clock } = worker();
    live.gone = gone;
    let finish = (): void => undefined;
    server.willAnswer(
      fails(503, {}, { 'retry-after': '1' }),
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.flushHeaders();
        finish = () => response.end(chunk({ content: 'slow' }, 'stop'));
      },
      fails(503, {}, { 'retry-after': '60' }),
      says('too early'),
    );
    await failureOf(service.call(['m'], callOf()));
    clock.ms += 1_000;
    const slow = service.call(['m'], callOf());
    await server.heard(2);
    await failureOf(service.call(['m'], callOf()));
    finish();
    expect((await slow).text).toBe('slow');
    expect(live.values.size).toBe(gone ? 0 : 1);
    expect((await failureOf(service.call(['m'], callOf()))).kind).toBe('cooling');
  });

  describe('in a chain', () => {
    it('goes on with the next provider', async () => {
      server.willAnswer(fails(429));
      ollama.willAnswer(says('spare'));
      expect(await worker().service.call(['m', 'ollama/l'], callOf())).toMatchObject({
        model: 'ollama/l',
        text: 'spare',
      });
    });

    it('names the earliest time when every provider is cooling', async () => {
      server.willAnswer(fails(503, {}, { 'retry-after': '60' }));
      ollama.willAnswer(fails(503, {}, { 'retry-after': '30' }));
      const { service, clock } = worker();
      const failure = await failureOf(service.call(['m', 'ollama/l'], callOf()));
      expect(failure).toMatchObject({ kind: 'cooling', details: { retryAt: clock.ms + 30_000 } });
    });

    it('names no time when one of them failed otherwise', async () => {
      server.willAnswer(fails(429));
      ollama.willAnswer(fails(401));
      const failure = await failureOf(worker().service.call(['m', 'ollama/l'], callOf()));
      expect(failure).toMatchObject({ kind: 'refused', details: { statusCode: 401 } });
      expect(failure.details.retryAt).toBeUndefined();
    });

    it('does not ask a second model of a provider that the first one found overloaded', async () => {
      server.willAnswer(fails(429));
      await failureOf(worker().service.call(['a', 'b'], callOf()));
      expect(server.asked).toHaveLength(1);
    });

    it('names no time when the words of the first model were heard and the second was not asked', async () => {
      server.willAnswer(streams(chunk({ content: 'Hel' }), 'data: {"error":{"message":"x","code":503}}\n\n'));
      const failure = await failureOf(worker().service.call(['m', 'ollama/l'], callOf({ onText: () => undefined })));
      expect(failure.kind).toBe('unavailable');
      expect(failure.details.retryAt).toBeUndefined();
    });
  });

  it('works in one process while the shared state is gone', async () => {
    server.willAnswer(fails(429, {}, { 'retry-after': '7' }), says('back'));
    const { service, live, clock } = worker();
    live.gone = true;
    await failureOf(service.call(['m'], callOf()));
    expect((await failureOf(service.call(['m'], callOf()))).kind).toBe('cooling');
    clock.ms += 7_000;
    expect((await service.call(['m'], callOf())).text).toBe('back');
  });

  it('does not last for as long as the clock was put back', async () => {
    server.willAnswer(fails(429, {}, { 'retry-after': '7' }), says('back'));
    const { service, live, clock } = worker();
    live.gone = true;
    await failureOf(service.call(['m'], callOf()));
    clock.ms -= 60 * MINUTE;
    expect((await service.call(['m'], callOf())).text).toBe('back');
  });

  it.each([
    ['prose', 'nonsense'],
    ['no number', '{"until":"x"}'],
    ['null', 'null'],
    ['the end of time', '{"until":1e300,"failures":-4}'],
    ['a list', '[]'],
    ['a long text', 'x'.repeat(1_000)],
  ])('is at most five minutes where %s stands in the shared state', async (_, text) => {
    server.willAnswer(says('fine'));
    const { service, live, clock } = worker();
    live.values.set('nova:cooldown:gateway', text);
    const settled = await service.call(['m'], callOf()).catch((error: unknown) => error);
    if (settled instanceof Error) expect(settled).toMatchObject({ details: { retryAt: clock.ms + 5 * MINUTE } });
    else expect(settled).toMatchObject({ text: 'fine' });
  });
});
