import { IsInt, IsString, IsUUID, Max, Min } from 'class-validator';
import { MayBeOmitted } from '../../../platform/http/index.js';
import { Characters } from './characters.js';
import { IsTaskMetadata } from './task-metadata.js';

/** A request to a pod. */
export class SubmitPipelineTaskDto {
  /** The request to the pod. */
  @IsString()
  @Characters(1, 200_000)
  user_input: string;

  /** The pod by name; the default pod when neither name nor id is given. */
  @MayBeOmitted()
  @IsString()
  @Characters(1, 100)
  pod_name?: string;

  /** The pod by id; together with `pod_name`, both must mean the same pod. */
  @MayBeOmitted()
  @IsUUID('loose')
  pod_id?: string;

  /**
   * Kept with the task, at most 16 KiB of JSON. `model_override` names the model of every stage; `sandbox_override` lowers
   * the sandbox tier.
   */
  @MayBeOmitted()
  @IsTaskMetadata()
  metadata?: Record<string, unknown>;

  /** Re-runs that each stage may have after an error. */
  @MayBeOmitted()
  @IsInt()
  @Min(0)
  @Max(10)
  max_retries?: number = 2;

  /** Higher goes first. */
  @MayBeOmitted()
  @IsInt()
  @Min(0)
  @Max(9)
  priority?: number = 5;
}
