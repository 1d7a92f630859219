/** Runs work together with other work, or alone, in the order in which it was asked for. */
export class SharedUse {
  private readonly underWay = new Set<Promise<unknown>>();
  private lastAlone: Promise<unknown> = Promise.resolve();

  /** Runs `work` beside other such work. Settles as `work` does. */
  async together<T>(work: () => Promise<T>): Promise<T> {
    const running = this.lastAlone.then(work);
    const ended = settled(running);
    this.underWay.add(ended);
    try {
      return await running;
    } finally {
      this.underWay.delete(ended);
    }
  }

  /** Runs `work` when all that was asked for earlier has ended; what is asked for later waits. Settles as `work` does. */
  async alone<T>(work: () => Promise<T>): Promise<T> {
    const running = Promise.all([this.lastAlone, ...this.underWay]).then(work);
    this.lastAlone = settled(running);
    return running;
  }
}

function settled(running: Promise<unknown>): Promise<void> {
  return running.then(
    () => undefined,
    () => undefined,
  );
}
