/**
 * How often the event loop turns while `work` is under way. Work on the loop lets it turn a few times; work beside it, as often as
 * the machine can.
 */
export async function loopTurns(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let over = false;
  const turn = (): void => {
    turns += 1;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  try {
    await work();
  } finally {
    over = true;
  }
  return turns;
}
