import { ValidateBy } from 'class-validator';
import { SANDBOX_TIERS } from '../../../config/index.js';
import { askedTier } from '../rules/task-sandbox.js';

const MOST_BYTES = 16 * 1024;
const LONGEST_MODEL = 200;

/** Checks a task's metadata: the end of a sentence that says the fault, or null. */
function metadataFault(metadata: unknown): string | null {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) return ' must be an object';
  if (Buffer.byteLength(JSON.stringify(metadata)) > MOST_BYTES) return ' must be at most 16 KiB of JSON';
  const { model_override: model, sandbox_override: sandbox } = metadata as Record<string, unknown>;
  if (model !== undefined && (typeof model !== 'string' || model.length < 1 || model.length > LONGEST_MODEL)) {
    return `.model_override must be a model's name of 1 to ${LONGEST_MODEL} characters`;
  }
  if (sandbox !== undefined && askedTier({ metadata: metadata as Record<string, unknown> }) === undefined) {
    return `.sandbox_override must be one of: ${SANDBOX_TIERS.join(', ')}`;
  }
  return null;
}

/** Checks that it is an object, its size, and the members that mean something to the pipeline. */
export function IsTaskMetadata(): PropertyDecorator {
  return ValidateBy({
    name: 'isTaskMetadata',
    validator: {
      validate: (value) => metadataFault(value) === null,
      defaultMessage: (argument) => `metadata${metadataFault(argument?.value) ?? ''}`,
    },
  });
}
