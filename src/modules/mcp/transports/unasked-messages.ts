/** Messages at once that nobody asked for, and how many a second may follow. */
const MESSAGES = { burst: 5_000, perSecond: 200 };
const BYTES = { burst: 32 * 1024 * 1024, perSecond: 1024 * 1024 };

/** Why a connection was ended on which too much came. */
export const FLOODED = 'it sends more messages than anybody asked for';

/**
 * Counts what a server sends without having been asked: notifications, requests, answers to no question. Each is read before
 * it is known for what it is, so one connection has only so many of them, and so many bytes.
 */
export class UnaskedMessages {
  private messages = MESSAGES.burst;
  private bytes = BYTES.burst;
  private at: number;

  /** `now` tells milliseconds that only grow. */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.at = now();
  }

  /** Counts one message; false when there have been too many. */
  take(bytes: number): boolean {
    const now = this.now();
    const seconds = (now - this.at) / 1_000;
    this.at = now;
    this.messages = Math.min(MESSAGES.burst, this.messages + seconds * MESSAGES.perSecond) - 1;
    this.bytes = Math.min(BYTES.burst, this.bytes + seconds * BYTES.perSecond) - bytes;
    return this.messages >= 0 && this.bytes >= 0;
  }
}
