import { SetMetadata } from '@nestjs/common';
import type { ErrorCode } from '../errors/index.js';

/** Metadata key of the codes that an operation answers with on its own account. */
export const PROBLEMS = 'nova:problems';

/**
 * Declares which errors of the catalogue an operation answers with; the OpenAPI document gets their responses from here.
 * What the edge answers with everywhere (credentials, limits, malformed input) is added by itself.
 */
export const Problems = (...codes: ErrorCode[]): MethodDecorator => SetMetadata(PROBLEMS, codes);
