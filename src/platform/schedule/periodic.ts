import { DiscoveryService } from '@nestjs/core';
import type { AppConfig } from '../../config/index.js';

export interface PeriodicOptions {
  readonly name: string;
  /** Milliseconds between two beginnings; null where the process does not do it. */
  readonly everyMs: (config: AppConfig) => number | null;
}

/** What `Periodic` marks methods with. */
export const PERIODIC = DiscoveryService.createDecorator<PeriodicOptions>();

/**
 * The method of a provider runs every `everyMs(config)` milliseconds, first after one of them, from the end of the start until
 * the process ends. It never overlaps itself; a rejection is logged and costs one run. `name` is unique.
 */
export function Periodic(name: string, everyMs: PeriodicOptions['everyMs']) {
  return <Method extends () => Promise<void>>(
    target: object,
    key: string,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void => {
    PERIODIC({ name, everyMs })(target, key, descriptor);
  };
}

/** For work that one process with the role `scheduler` does for all: its pause there, null elsewhere. */
export function onScheduler(everyMs: (config: AppConfig) => number): PeriodicOptions['everyMs'] {
  return (config) => (config.roles.includes('scheduler') ? everyMs(config) : null);
}
