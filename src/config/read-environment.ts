import { plainToInstance } from 'class-transformer';
import { validateSync } from 'class-validator';
import type { VariableFault } from './environment-error.js';
import { Environment } from './environment.js';
import { modelOptionsFault } from './model-options.js';
import { arePrices } from './model-prices.js';
import { readSecretFiles } from './secret-variables.js';

/** Variables that many programs read in lower case; that form wins here too. */
const EITHER_CASE = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'] as const;

/** Reads and checks `source` once. An empty value is an absent one; so is a faulty one, beside its fault. */
export function parseEnvironment(source: Record<string, string | undefined>): {
  environment: Environment;
  faults: VariableFault[];
} {
  const present = Object.fromEntries(
    Object.entries(source).filter(([, value]) => value !== undefined && value.trim() !== ''),
  );
  for (const name of EITHER_CASE) {
    const lower = present[name.toLowerCase()];
    if (lower !== undefined) present[name] = lower;
  }
  const fileFaults = readSecretFiles(present);
  const environment = plainToInstance(Environment, present);
  const faults: VariableFault[] = validateSync(environment, {
    whitelist: true,
    validationError: { target: false, value: false },
  }).map(({ property, constraints }) => ({
    variable: property,
    detail: Object.values(constraints ?? {})
      .map((text) => text.replace(`${property} `, ''))
      .join('; '),
  }));
  if (!faults.some(({ variable }) => variable === 'MODEL_PRICES') && !arePrices(environment.MODEL_PRICES ?? {})) {
    faults.push({ variable: 'MODEL_PRICES', detail: 'must give every model a non-negative input and output price' });
  }
  const optionsFault = modelOptionsFault(isRecord(environment.MODEL_OPTIONS) ? environment.MODEL_OPTIONS : {});
  if (optionsFault !== null) faults.push({ variable: 'MODEL_OPTIONS', detail: optionsFault });
  faults.push(...fileFaults);
  for (const { variable } of faults) delete environment[variable as keyof Environment];
  return { environment, faults };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
