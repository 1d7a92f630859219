import { ApiProperty } from '@nestjs/swagger';
import { IgnoresReadOnly, MayBeOmitted, PatchOf, TextList } from '../../platform/http/index.js';
import { CreatePodAgentDto, podAgentSettingsOf } from './create-pod-agent.dto.js';
import type { PodAgentDto } from './pod-agent.dto.js';
import type { PodAgentSettings } from './pod.js';

/** Changes of a pod agent: fields that are left out stay as they are. The result is what must be valid. */
@IgnoresReadOnly<PodAgentDto>('id', 'pod_id', 'created_at', 'updated_at', 'tools_left_out')
export class UpdatePodAgentDto extends PatchOf(CreatePodAgentDto) {
  @ApiProperty({ description: "Its place in the pod's order, unique there." })
  override position?: number;

  /** What lists cut: these fields are left as they are, since the text that was read was not whole. */
  @MayBeOmitted()
  @TextList({ maxItems: 20, maxLength: 100 })
  truncated?: string[];

  /** @throws DomainError validation_failed when the run condition is not one. */
  toPatch(): Partial<PodAgentSettings> {
    const settings = podAgentSettingsOf(this);
    return this.truncated?.includes('system_prompt') ? { ...settings, systemPrompt: undefined } : settings;
  }
}
