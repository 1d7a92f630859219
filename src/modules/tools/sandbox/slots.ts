interface Waiting {
  owner: string;
  go: () => void;
}

/**
 * Lets a limited number of pieces of work run at a time. A free slot goes to anyone; among those that wait, the next one goes
 * to the owner that holds the fewest, and between equals to who came first: no slot is kept free, and nobody's many pieces
 * keep another's one waiting for all of them.
 */
export class Slots {
  private readonly waiting: Waiting[] = [];
  private readonly held = new Map<string, number>();

  constructor(private free: number) {}

  /** Runs `work` when a slot is free. @throws `signal.reason` when it aborts while waiting. */
  async use<T>(owner: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.free > 0) this.take(owner);
    else await this.turn(owner, signal);
    try {
      return await work();
    } finally {
      this.release(owner);
    }
  }

  private turn(owner: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const one: Waiting = {
        owner,
        go: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      const leave = (): void => {
        this.waiting.splice(this.waiting.indexOf(one), 1);
        reject(signal.reason as Error);
      };
      this.waiting.push(one);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  private take(owner: string): void {
    this.free--;
    this.held.set(owner, this.heldBy(owner) + 1);
  }

  private release(owner: string): void {
    this.free++;
    const left = this.heldBy(owner) - 1;
    if (left === 0) this.held.delete(owner);
    else this.held.set(owner, left);
    let next: Waiting | undefined;
    for (const one of this.waiting) {
      if (next === undefined || this.heldBy(one.owner) < this.heldBy(next.owner)) next = one;
    }
    if (next === undefined) return;
    this.waiting.splice(this.waiting.indexOf(next), 1);
    this.take(next.owner);
    next.go();
  }

  private heldBy(owner: string): number {
    return this.held.get(owner) ?? 0;
  }
}
