/** A fault of a variable. */
export interface VariableFault {
  readonly variable: string;
  /** The rest of a sentence that begins with the variable's name; never shows a value. */
  readonly detail: string;
}

/** Thrown for a faulty environment; names every faulty variable and shows no value. */
export class EnvironmentError extends Error {
  override readonly name = 'EnvironmentError';
  constructor(readonly faults: readonly VariableFault[]) {
    super(faults.map((fault) => `${fault.variable} ${fault.detail}`).join('\n'));
  }
}
