/**
 * Preloaded into workers whose leases shall end long before they notice: the database is told a twelfth of the time that
 * the worker believes in. With `CHAOS_UNFENCED` their moves moreover name neither the epoch nor the version of their lease, as in
 * the many queues whose commits ask for the state alone.
 */
import { createRequire } from 'node:module';

const LEASE = /(lease_until = clock_timestamp\(\) \+ \$\d+ \* interval '1) second'/g;
const GUARD = 't.epoch = m.epoch and t.version = m.version and ';

const { Client } = createRequire(import.meta.url)('pg');
const query = Client.prototype.query;
Client.prototype.query = function (config, ...rest) {
  const asked = typeof config === 'string' ? config : config?.text;
  if (typeof asked !== 'string') return query.call(this, config, ...rest);
  let text = asked.replace(LEASE, "$1 second' / 12");
  if (process.env.CHAOS_UNFENCED) text = text.replace(GUARD, '');
  return query.call(this, typeof config === 'string' ? text : { ...config, text }, ...rest);
};
