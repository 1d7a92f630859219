import type { Result } from 'ioredis';

/**
 * The atomic steps on the server. Each heals what it finds: a key of another type was written by someone else and is
 * dropped, since nothing here is the truth.
 */

/**
 * | KEYS[1] | list of rings        |
 * | ARGV[1] | most rings to keep   |
 * | ARGV[2…]| ids, at most 1,000   |
 */
const novaRing = `
local kind = redis.call('type', KEYS[1]).ok
if kind ~= 'list' and kind ~= 'none' then redis.call('del', KEYS[1]) end
redis.call('lpush', KEYS[1], unpack(ARGV, 2))
redis.call('ltrim', KEYS[1], 0, ARGV[1] - 1)
return 1`;

/**
 * Forgets the older half of the rings, see `ringsAfterHearing`; also drops a key that is no list.
 *
 * | KEYS[1] | list of rings |
 */
const novaHeard = `
local kind = redis.call('type', KEYS[1]).ok
if kind == 'none' then return 0 end
if kind ~= 'list' then return redis.call('del', KEYS[1]) end
local rest = math.floor((redis.call('llen', KEYS[1]) + 1) / 2)
if rest == 0 then redis.call('del', KEYS[1]) else redis.call('ltrim', KEYS[1], 0, rest - 1) end
return 1`;

/**
 * | KEYS[1] | value                       |
 * | ARGV[1] | the value it has to hold    |
 */
const novaRelease = `
if redis.pcall('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('del', KEYS[1])`;

/**
 * | KEYS[1] | record         |
 * | KEYS[2] | index of ids   |
 * | ARGV[1] | id             |
 * | ARGV[2] | JSON           |
 * | ARGV[3] | milliseconds   |
 */
const novaAgentPut = `
local kind = redis.call('type', KEYS[2]).ok
if kind ~= 'set' and kind ~= 'none' then redis.call('del', KEYS[2]) end
redis.call('set', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('sadd', KEYS[2], ARGV[1])
return 1`;

/**
 * | KEYS[1] | index of ids                                               |
 * | KEYS[2…]| records to drop                                            |
 * | ARGV    | members of the index to drop: ids, the mark of completeness |
 */
const novaAgentDrop = `
local kind = redis.call('type', KEYS[1]).ok
if kind ~= 'set' and kind ~= 'none' then redis.call('del', KEYS[1]) end
for i = 2, #KEYS do redis.call('del', KEYS[i]) end
for i = 1, #ARGV do redis.call('srem', KEYS[1], ARGV[i]) end
return 1`;

/**
 * Returns id, JSON, id, JSON, … or nil when the index does not claim completeness or a record is missing; then the claim
 * goes too, and the ids without a record.
 *
 * | KEYS[1] | index of ids              |
 * | ARGV[1] | the mark of completeness  |
 * | ARGV[2] | prefix of records' keys   |
 */
const novaAgentsAll = `
if redis.call('type', KEYS[1]).ok ~= 'set' then return false end
if redis.call('sismember', KEYS[1], ARGV[1]) == 0 then return false end
local found, missing = {}, false
for _, id in ipairs(redis.call('smembers', KEYS[1])) do
  if id ~= ARGV[1] then
    local record = redis.pcall('get', ARGV[2] .. id)
    if type(record) == 'string' then
      found[#found + 1] = id
      found[#found + 1] = record
    else
      redis.call('srem', KEYS[1], id)
      missing = true
    end
  end
end
if missing then
  redis.call('srem', KEYS[1], ARGV[1])
  return false
end
return found`;

/**
 * Returns 1 when every id is in the index and the mark was set.
 *
 * | KEYS[1] | index of ids                    |
 * | ARGV[1] | the mark of completeness        |
 * | ARGV[2] | milliseconds that it lasts      |
 * | ARGV[3] | ids as a JSON array             |
 */
const novaAgentsComplete = `
if redis.call('type', KEYS[1]).ok == 'set' then
  for _, id in ipairs(cjson.decode(ARGV[3])) do
    if redis.call('sismember', KEYS[1], id) == 0 then return 0 end
  end
else
  if ARGV[3] ~= '[]' then return 0 end
  redis.call('del', KEYS[1])
end
redis.call('sadd', KEYS[1], ARGV[1])
return redis.call('pexpire', KEYS[1], ARGV[2])`;

/** The commands that every connection gets beside Redis's own. */
export const REDIS_SCRIPTS = {
  novaRing: { lua: novaRing, numberOfKeys: 1 },
  novaHeard: { lua: novaHeard, numberOfKeys: 1 },
  novaRelease: { lua: novaRelease, numberOfKeys: 1 },
  novaAgentPut: { lua: novaAgentPut, numberOfKeys: 2 },
  novaAgentDrop: { lua: novaAgentDrop },
  novaAgentsAll: { lua: novaAgentsAll, numberOfKeys: 1 },
  novaAgentsComplete: { lua: novaAgentsComplete, numberOfKeys: 1 },
};

/**
 * The rate limiter's step, with the library's arguments and answer.
 *
 * | KEYS[1] | counter                  |
 * | ARGV[1] | points to take           |
 * | ARGV[2] | seconds of the window    |
 */
export const TAKE_POINTS = `
local kind = redis.call('type', KEYS[1]).ok
if kind ~= 'none' and (kind ~= 'string' or redis.call('strlen', KEYS[1]) > 15
    or not string.match(redis.call('get', KEYS[1]), '^%d+$') or redis.call('pttl', KEYS[1]) < 0) then
  redis.call('del', KEYS[1])
end
redis.call('set', KEYS[1], 0, 'EX', ARGV[2], 'NX')
return {redis.call('incrby', KEYS[1], ARGV[1]), redis.call('pttl', KEYS[1])}`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    novaRing(key: string, cap: number, ...ids: string[]): Result<number, Context>;
    novaHeard(key: string): Result<number, Context>;
    novaRelease(key: string, value: string): Result<number, Context>;
    novaAgentPut(record: string, index: string, id: string, json: string, ttlMs: number): Result<number, Context>;
    novaAgentDrop(keys: number, ...keysThenArguments: string[]): Result<number, Context>;
    novaAgentsAll(index: string, mark: string, prefix: string): Result<string[] | null, Context>;
    novaAgentsComplete(index: string, mark: string, ttlMs: number, ids: string): Result<number, Context>;
  }
}
