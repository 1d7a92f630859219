/**
 * What stalled readers cost: 200 that take nothing of the 1 MB/s that each is offered, beside 200 healthy ones at 20 KB/s, for
 * a minute, against the built service with the model in another process, after a minute of the same without the stalled ones.
 * Prints the memory, how long stalled connections lived, and what the healthy ones got.
 *
 *   npm run bench:streams
 */
import { Logger } from '@nestjs/common';
import { startTestServers } from '../test/support/servers/test-servers.js';
import { loadStreams } from '../test/support/stream-load/index.js';

const MEGABYTE = 1_000_000;

Logger.overrideLogger(['error']);
const servers = await startTestServers();
try {
  const result = await loadStreams({
    stalled: 200,
    healthy: 200,
    seconds: 60,
    floodBytesPerSecond: MEGABYTE,
    // About the longest answer there may be, so that a stalled reader is offered 25 MB.
    floodCharacters: 4_190_000,
    steadyBytesPerSecond: 20_000,
    floodTurns: 2,
    steadyTurns: 4,
  });
  const { rss, closedAfterMs, healthy } = result;
  const at = (values: number[], share: number): number =>
    values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
  const mb = (bytes: number): string => `${(bytes / MEGABYTE).toFixed(0)} MB`;
  const isWhole = ({ done, faults, pieces }: (typeof healthy.with)[number]): boolean =>
    done && faults.length === 0 && pieces === result.piecesEach;
  console.log(
    `RSS: ${mb(rss.idle)} idle, at most ${mb(rss.without)} without and ${mb(rss.with)} with stalled readers ` +
      `(${rss.with > rss.without ? '+' : ''}${mb(rss.with - rss.without)})`,
  );
  console.log(
    `stalled: ${closedAfterMs.length} connections closed, median ${(at(closedAfterMs, 0.5) / 1_000).toFixed(1)} s, ` +
      `longest ${(at(closedAfterMs, 1) / 1_000).toFixed(1)} s; ${result.neverClosed} never closed, ${result.refused} refused`,
  );
  for (const [name, readers] of Object.entries(healthy)) {
    const latencies = readers.flatMap(({ latenciesMs }) => latenciesMs);
    console.log(
      `healthy ${name} stalled ones: ${readers.filter(isWhole).length} of ${readers.length} got every byte; latency ` +
        `p50 ${at(latencies, 0.5)} ms, p95 ${at(latencies, 0.95)} ms, p99 ${at(latencies, 0.99)} ms`,
    );
    for (const { faults } of readers.filter((each) => !isWhole(each)).slice(0, 3)) console.log(faults.slice(0, 3));
  }
} finally {
  await servers.stop();
}
