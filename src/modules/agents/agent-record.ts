import { z } from 'zod';
import type { StoredAgent } from './agent.js';

const record = z.strictObject({
  id: z.uuid(),
  config: z.strictObject({
    name: z.string(),
    systemPrompt: z.string(),
    model: z.string().nullable(),
    tools: z.array(z.string()).nullable(),
    memoryTiers: z.array(z.string()),
    maxContextTokens: z.int(),
    fallbackModels: z.array(z.string()),
    metadata: z.record(z.string(), z.unknown()),
  }),
  isCanonical: z.boolean(),
  state: z.enum(['active', 'paused', 'stopped', 'error']),
  createdAt: z.coerce.date(),
  updatedAt: z.coerce.date(),
  lastActiveAt: z.coerce.date().nullable(),
});

/** The agent that the shared state holds under `id`; null for anything that is not exactly one, whoever wrote it. */
export function agentOfRecord(id: string, value: unknown): StoredAgent | null {
  const parsed = record.safeParse(value);
  return parsed.success && parsed.data.id === id ? parsed.data : null;
}
