import type { RunPlan, Sample } from './torture-run.js';

/** Milliseconds between two lines where they cannot be written over each other. */
const LINE_MS = 10_000;

/** Tells on stderr how far a run is: one line that changes in a terminal, else a line now and then. */
export class ProgressLine {
  private beginAt = 0;
  private toldAt = -Infinity;

  constructor(private readonly plan: RunPlan) {}

  tell(sample: Sample): void {
    this.beginAt ||= sample.at;
    const seconds = Math.round((sample.at - this.beginAt) / 1_000);
    const { submitted, finished, running, awake, faults } = sample;
    const line =
      `${seconds} s of ${this.plan.seconds}: ${submitted} submitted, ${finished} finished, ${running} running, ` +
      `${awake} of ${this.plan.workers} workers up, ${faults} faults`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
    else if (sample.at - this.toldAt >= LINE_MS) {
      this.toldAt = sample.at;
      process.stderr.write(`${line}\n`);
    }
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}
