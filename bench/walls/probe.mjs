// Loaded into the service before its own code: at each turn of the event loop it reads how long the main thread was on a CPU since the
// turn before, and how large the process is. SIGUSR2 prints the largest of both since the signal before, as one JSON line.
import { readFileSync } from 'node:fs';

const SCHEDSTAT = `/proc/self/task/${process.pid}/schedstat`;
const onCpuMs = () => Number(readFileSync(SCHEDSTAT, 'utf8').split(' ', 1)[0]) / 1e6;

let last = onCpuMs();
let worstMs = 0;
let mostRss = 0;
function turn() {
  const now = onCpuMs();
  worstMs = Math.max(worstMs, now - last);
  last = now;
  setImmediate(turn).unref();
}
setImmediate(turn).unref();
// Keeps the loop turning while nothing else does.
setInterval(() => (mostRss = Math.max(mostRss, process.memoryUsage.rss())), 1).unref();

process.on('SIGUSR2', () => {
  process.stdout.write(`${JSON.stringify({ message: 'walls', cpu_ms: worstMs, rss: mostRss })}\n`);
  worstMs = 0;
  mostRss = process.memoryUsage.rss();
  last = onCpuMs();
});
