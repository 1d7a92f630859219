/** Variables by which a shell, or the hook of git that runs the tests, would lead git, pg and loggers elsewhere than the tests do. */
const LEADS_ELSEWHERE = /^(?:GIT_(?!SSL_)|NODE_PG_FORCE_NATIVE$|DEBUG(?:_|$)|NEST_)/;
/** What libpq reads; it says something of the server of `DATABASE_URL`, where one is named. */
const OF_A_SERVER = /^PG[A-Z]/;

/** Takes out of this process's environment, which that of every spec is made of, what would change what the tests do. */
export function clearSurroundings() {
  const own = process.env.DATABASE_URL ? () => false : (name) => OF_A_SERVER.test(name);
  for (const name of Object.keys(process.env)) if (LEADS_ELSEWHERE.test(name) || own(name)) delete process.env[name];
}
