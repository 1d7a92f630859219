/** @needs redis-server */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { RedisSharedState } from '../../../src/platform/redis/index.js';
import { eventually } from '../../support/eventually.js';
import { privateRedis, works, type PrivateRedis } from './private-redis.js';

const never = new AbortController().signal;

describe('a Redis that others write to', () => {
  let redis: PrivateRedis;
  let one: RedisSharedState;
  let two: RedisSharedState;
  const key = (name: string): string => redis.prefix + name;
  beforeAll(async () => {
    redis = await privateRedis();
    [one, two] = await Promise.all([redis.connect(), redis.connect()]);
  });
  beforeEach(() => redis.stranger.flushall());
  afterAll(() => redis.close());

  it('holds our keys under the documented names, in the database of the connection string', async () => {
    await one.bell.ring([randomUUID()]);
    await one.live.set('heartbeat:task:t', 'w', 60_000);
    await one.agents.put('a', { n: 1 });
    await one.limiter.take('k', 5, 60);
    const names = ['queue:tasks', 'heartbeat:task:t', 'agent:a', 'agents', 'ratelimit:60:k'].map(key);
    expect((await redis.stranger.keys('*')).toSorted()).toEqual(names.toSorted());
    expect(await redis.stranger.ttl(key('ratelimit:60:k'))).toBeGreaterThan(0);
    expect(JSON.parse((await redis.stranger.get(key('agent:a'))) ?? '')).toEqual({ n: 1 });
  });

  it('keeps at most 9,999 rings', async () => {
    await one.bell.ring(Array.from({ length: 10_500 }, () => randomUUID()));
    expect(await redis.stranger.llen(key('queue:tasks'))).toBe(9_999);
  });

  it('may put anything into the bell', async () => {
    const waiting = one.bell.wait(60_000, never);
    const idle = two.bell.wait(300, never);
    await redis.stranger.lpush(key('queue:tasks'), 'x'.repeat(10_000_000), 'no id', '', '\u0000\r\n$-1');
    expect(await idle).toBe(false);
    await redis.stranger.lpush(key('queue:tasks'), randomUUID());
    expect(await waiting).toBe(true);
  });

  it.each(['set', 'string', 'hash'])('may replace the bell by a %s', async (kind) => {
    const waiting = one.bell.wait(60_000, never);
    await replace(key('queue:tasks'), kind);
    await two.bell.ring([randomUUID()]);
    expect(await waiting).toBe(true);
    await replace(key('queue:tasks'), kind);
    const again = one.bell.wait(60_000, never);
    await eventually('the waiter has dropped it', async () => (await redis.stranger.exists(key('queue:tasks'))) === 0);
    await redis.stranger.lpush(key('queue:tasks'), randomUUID());
    expect(await again).toBe(true);
  });

  it.each(['set', 'list', 'hash'])('may put a %s where a value belongs', async (kind) => {
    await replace(key('v'), kind);
    expect(await one.live.get('v')).toBeNull();
    await one.live.release('v', 'value');
    await one.live.set('v', 'value', 60_000);
    expect(await one.live.get('v')).toBe('value');
  });

  it.each(['set', 'list', 'string', 'word', 'huge'])('may put a %s where a counter belongs', async (kind) => {
    await replace(key('ratelimit:60:k'), kind);
    expect(await one.limiter.take('k', 2, 60)).toMatchObject({ allowed: true, remaining: 1 });
    expect(await two.limiter.take('k', 2, 60)).toMatchObject({ allowed: true, remaining: 0 });
    expect((await one.limiter.take('k', 2, 60)).allowed).toBe(false);
    expect(await redis.stranger.pttl(key('ratelimit:60:k'))).toBeGreaterThan(0);
  });

  it.each(['set', 'list', 'word'])('may put a %s where an agent belongs', async (kind) => {
    await one.agents.put('a', 1);
    await one.agents.put('b', 2);
    await one.agents.markComplete(['a', 'b']);
    await replace(key('agent:a'), kind);
    expect(await one.agents.get('a')).toBeNull();
    expect(await one.agents.all()).toBeNull();
    for (const id of ['a', 'b']) await two.agents.put(id, id);
    await two.agents.markComplete(['a', 'b']);
    expect((await one.agents.all())?.get('a')).toBe('a');
  });

  it('may replace or remove the index of agents, or one agent', async () => {
    const rebuild = async (): Promise<boolean> => {
      await one.agents.put('a', 1);
      await one.agents.put('b', 2);
      await one.agents.markComplete(['a', 'b']);
      return (await two.agents.all())?.size === 2;
    };
    // Members of a foreign index that have no record cost one more rebuild.
    const fill = async (): Promise<void> => expect((await rebuild()) || (await rebuild())).toBe(true);
    for (const kind of ['list', 'string', 'set']) {
      await fill();
      await replace(key('agents'), kind);
      expect(await two.agents.all()).toBeNull();
    }
    await fill();
    await redis.stranger.del(key('agent:a'));
    expect(await two.agents.all()).toBeNull();
    await one.agents.put('a', 1);
    expect(await two.agents.all()).toBeNull();
    await fill();
  });

  it('may publish anything on our channels', async () => {
    const heard: unknown[] = [];
    const leave = one.bus.subscribe('c', (message) => heard.push(message));
    await eventually('it listens', () => one.bus.connected);
    for (const text of ['', 'no json', 'null', '[]', '{"from":1}', `{"from":"x","message":"${'y'.repeat(3e6)}"}`]) {
      await redis.stranger.publish(key('c'), text);
    }
    await two.bus.publish('c', 'ours');
    await eventually('ours arrived', () => heard.length > 0);
    expect(heard).toEqual(['ours']);
    leave();
  });

  it('may cut connections at any time', async () => {
    const heard: unknown[] = [];
    let live = 0;
    const onLive = (): void => void (live += 1);
    const leave = one.bus.subscribe('cut', (message) => heard.push(message), onLive);
    const waiting = one.bell.wait(60_000, never);
    for (let round = 0; round < 3; round += 1) {
      await eventually('it is connected', () => works(one) && works(two));
      await redis.stranger.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await redis.stranger.client('KILL', 'TYPE', 'pubsub');
      await eventually('the cut was felt', () => !one.bus.connected);
    }
    await eventually('it is connected', () => works(one) && works(two));
    expect(live).toBe(4);
    await eventually('a message arrives', async () => {
      await two.bus.publish('cut', 1);
      return heard.length > 0;
    });
    await two.bell.ring([randomUUID()]);
    expect(await waiting).toBe(true);
    leave();
  });

  it('may be out of memory', async () => {
    await one.live.set('before', 'value', 60_000);
    await redis.stranger.config('SET', 'maxmemory', '1');
    try {
      expect(await one.live.get('before')).toBe('value');
      await one.live.set('after', 'value', 60_000);
      expect(await one.live.get('after')).toBeNull();
      const waiting = one.bell.wait(60_000, never);
      await one.bell.ring([randomUUID()]);
      expect(await waiting).toBe(true);
      await one.bell.ring([randomUUID()]);
      expect(await one.bell.wait(60_000, never)).toBe(true);
      expect((await one.limiter.take('oom', 1, 60)).allowed).toBe(true);
      expect((await one.limiter.take('oom', 1, 60)).allowed).toBe(false);
      await one.agents.put('a', 1);
      expect(await one.agents.get('a')).toBeNull();
    } finally {
      await redis.stranger.config('SET', 'maxmemory', '0');
    }
    await one.agents.put('a', 1);
    expect(await one.agents.get('a')).toBe(1);
  });

  it('may be a read-only replica for a while', async () => {
    await redis.stranger.call('REPLICAOF', '127.0.0.1', '1');
    try {
      await one.live.set('v', 'value', 60_000);
      expect(await one.live.get('v')).toBeNull();
      expect(await one.bell.wait(50, never)).toBe(false);
      expect((await one.limiter.take('ro', 1, 60)).allowed).toBe(true);
    } finally {
      await redis.stranger.call('REPLICAOF', 'NO', 'ONE');
    }
    await eventually('values are stored', async () => {
      await one.live.set('v', 'value', 60_000);
      return (await one.live.get('v')) === 'value';
    });
    const waiting = one.bell.wait(60_000, never);
    await two.bell.ring([randomUUID()]);
    expect(await waiting).toBe(true);
  });

  it('may take permissions away and give them back', async () => {
    const waiting = one.bell.wait(60_000, never);
    const heard: unknown[] = [];
    await redis.stranger.config('RESETSTAT');
    await redis.stranger.acl('SETUSER', 'default', '-brpop', 'resetchannels');
    try {
      const leave = one.bus.subscribe('forbidden', (message) => heard.push(message));
      expect(one.bus.connected).toBe(false);
      // The bell's connection is told no as soon as its pop ends, and must not ask again and again.
      await redis.stranger.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      const refused = async (): Promise<number> =>
        Number(/cmdstat_brpop:.*rejected_calls=(\d+)/.exec(await redis.stranger.info('commandstats'))?.[1] ?? 0);
      await eventually('a pop was refused', async () => (await refused()) > 0);
      const before = await refused();
      expect(await two.bell.wait(500, never)).toBe(false);
      expect((await refused()) - before).toBeLessThan(10);
      expect(one.bus.connected).toBe(false);
      await redis.stranger.acl('SETUSER', 'default', '+@all', 'allchannels');
      await eventually('it listens', () => works(one) && works(two));
      await two.bus.publish('forbidden', 1);
      await eventually('the message arrived', () => heard.length > 0);
      leave();
    } finally {
      await redis.stranger.acl('SETUSER', 'default', '+@all', 'allchannels');
    }
    await two.bell.ring([randomUUID()]);
    expect(await waiting).toBe(true);
  });

  it('may forget its scripts', async () => {
    await one.live.set('v', 'value', 60_000);
    await one.live.release('v', 'another');
    await redis.stranger.script('FLUSH');
    await one.live.release('v', 'value');
    expect(await one.live.get('v')).toBeNull();
    expect((await one.limiter.take('k', 1, 60)).allowed).toBe(true);
  });

  async function replace(name: string, kind: string): Promise<void> {
    await redis.stranger.del(name);
    if (kind === 'set') await redis.stranger.sadd(name, 'member');
    else if (kind === 'list') await redis.stranger.lpush(name, 'element');
    else if (kind === 'hash') await redis.stranger.hset(name, 'field', 'value');
    else if (kind === 'huge') await redis.stranger.set(name, '9'.repeat(40));
    else await redis.stranger.set(name, kind === 'word' ? 'word{' : '7');
  }
});

describe('a Redis that lets nobody in', () => {
  let redis: PrivateRedis;
  beforeAll(async () => {
    redis = await privateRedis();
  });
  afterAll(() => redis.close());

  it('is an outage whose reason shows no secret, until the password fits', async () => {
    await redis.stranger.config('SET', 'requirepass', 'right-secret');
    const wrong = redis.start(redis.server.url.replace('://', '://:wrong-secret@'));
    await eventually('the reason is known', () => wrong.health.outage()?.reason === 'the credentials were refused');
    const none = redis.start();
    await eventually('the reason is known', () => none.health.outage()?.reason === 'credentials are required');
    const right = redis.start(redis.server.url.replace('://', '://:right-secret@'));
    await eventually('the right one is in', () => works(right));
    await redis.stranger.config('SET', 'requirepass', '');
    await eventually('the other one is in', () => works(none));
  });

  it('is an outage when it has no database of that number, rather than another database', async () => {
    const state = redis.start(redis.server.url.replace(/2$/, '99'));
    await eventually(
      'the reason is known',
      () => state.health.outage()?.reason === 'it has no database of that number',
    );
    await state.live.set('v', 'value', 60_000);
    expect(await redis.stranger.dbsize()).toBe(0);
    await redis.stranger.select(0);
    expect(await redis.stranger.dbsize()).toBe(0);
  });
});
