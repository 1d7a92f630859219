import { IgnoresReadOnly, PatchOf } from '../../platform/http/index.js';
import { CreatePodDto, podSettingsOf } from './create-pod.dto.js';
import type { PodDetailDto } from './pod.dto.js';
import type { PodSettings } from './pod.js';

/** Changes of a pod: fields that are left out stay as they are. */
@IgnoresReadOnly<PodDetailDto>('id', 'is_system_default', 'active_agent_count', 'created_at', 'updated_at', 'agents')
export class UpdatePodDto extends PatchOf(CreatePodDto) {
  toPatch(): Partial<PodSettings> {
    return podSettingsOf(this);
  }
}
