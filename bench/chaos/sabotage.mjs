/**
 * Preloaded into workers that shall not notice the end of their leases: the database is told a twelfth of the time that they
 * believe in, beats renew whatever they are asked to, and nothing that was lost is found; what was taken from them is claimed at
 * once, since no suspect waits for an empty worker. With `CHAOS_UNFENCED` their moves
 * moreover name neither the epoch nor the version of their lease, as in the many queues whose commits ask for the state alone.
 */
import { createRequire } from 'node:module';

const LEASE = /(lease_until = clock_timestamp\(\) \+ \$\d+ \* interval '1) second'/g;
const BEAT = 'with seen as (update workers set seen_at';
const LOST = 'where t.id is null';
const SUSPECT = 'suspect = coalesce(m.stay_suspect, t.suspect)';
const GUARD = 't.epoch = m.epoch and t.version = m.version and ';

const { Client } = createRequire(import.meta.url)('pg');
const query = Client.prototype.query;
Client.prototype.query = function (config, ...rest) {
  const asked = typeof config === 'string' ? config : config?.text;
  if (typeof asked !== 'string') return query.call(this, config, ...rest);
  let text = asked.replace(LEASE, "$1 second' / 12").replace(LOST, 'where false').replace(SUSPECT, 'suspect = false');
  if (process.env.CHAOS_UNFENCED) text = text.replace(GUARD, '');
  const answer = query.call(this, typeof config === 'string' ? text : { ...config, text }, ...rest);
  if (!asked.includes(BEAT)) return answer;
  const tasks = rest[0].find((value) => Array.isArray(value));
  return answer.then((result) => ({ ...result, rows: tasks.map((id) => ({ id })) }));
};
