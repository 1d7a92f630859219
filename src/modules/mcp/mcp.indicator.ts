import type { HealthIndicatorResult } from '@nestjs/terminus';
import { ReadinessIndicator, type HealthIndicator, type IndicatorState } from '../../platform/health/index.js';
import { McpConnections } from './mcp-connections.js';

/** Reports how many servers are connected; never decides, since their tools only are missing. */
@ReadinessIndicator({ name: 'mcp', decides: false })
export class McpIndicator implements HealthIndicator {
  constructor(private readonly connections: McpConnections) {}

  check(state: IndicatorState): HealthIndicatorResult {
    const { servers, connected } = this.connections.count();
    const missing = servers - connected;
    if (missing === 0) return state.up({ servers });
    return state.degraded({ servers, reason: `${missing} of ${servers} servers are not connected` });
  }
}
