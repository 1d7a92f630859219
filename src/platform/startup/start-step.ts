import { DiscoveryService } from '@nestjs/core';

/** The steps of a start, in their order. A later one may rely on an earlier one having been tried, not on its success. */
export const START_STEPS = ['database', 'recover-agents', 'canonical-agent', 'mcp', 'background-tasks'] as const;
export type StartStepName = (typeof START_STEPS)[number];

/** What `StartStep` marks methods with: the name of their step. */
export const START_STEP = DiscoveryService.createDecorator<{ step: StartStepName }>();

/**
 * The method of a provider is part of the start: it runs at its step, behind a server that answers already, and again after a
 * pause when it rejects, so it may be repeated. The signal aborts when the process ends.
 */
export function StartStep(step: StartStepName) {
  return <Method extends (signal: AbortSignal) => Promise<void>>(
    target: object,
    key: string,
    descriptor: TypedPropertyDescriptor<Method>,
  ): void => {
    START_STEP({ step })(target, key, descriptor);
  };
}
