import { expect, it } from '@jest/globals';
import { loadStreams } from '../../support/stream-load/index.js';

const MEGABYTE = 1_000_000;

it('readers that stall cost little memory and are closed, and those beside them get every byte', async () => {
  const { rss, healthy, piecesEach, ...stalled } = await loadStreams({
    stalled: 20,
    healthy: 20,
    seconds: 10,
    floodBytesPerSecond: MEGABYTE,
    floodCharacters: 2_000_000,
    steadyBytesPerSecond: 20_000,
    floodTurns: 1,
    steadyTurns: 2,
  });
  expect(stalled.closedAfterMs).toHaveLength(20);
  expect(stalled).toMatchObject({ neverClosed: 0, refused: 0 });
  const all = [...healthy.without, ...healthy.with];
  expect(all.flatMap(({ faults }) => faults)).toEqual([]);
  expect(all.map(({ pieces, done }) => [pieces, done])).toEqual(all.map(() => [piecesEach, true]));
  // One that held what each stalled reader has not had would hold some hundred megabytes.
  expect(rss.with - rss.without).toBeLessThan(150 * MEGABYTE);
}, 240_000);
