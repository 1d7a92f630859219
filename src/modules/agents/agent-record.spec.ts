import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { agentConfig } from '../../../test/support/agents.js';
import { agentOfRecord } from './agent-record.js';
import { statusOf, type StoredAgent } from './agent.js';

const ID = '01a203c9-3607-7519-92da-9f9a65a208ae';
const AGENT: StoredAgent = {
  id: ID,
  config: agentConfig({ metadata: { a: [1] } }),
  isCanonical: false,
  state: 'active',
  createdAt: new Date('2026-01-01T00:00:00.001Z'),
  updatedAt: new Date('2026-01-01T00:00:00.002Z'),
  lastActiveAt: null,
};
const stored = (): Record<string, unknown> => JSON.parse(JSON.stringify(AGENT)) as Record<string, unknown>;

it('an agent survives its way through Redis', () => {
  expect(agentOfRecord(ID, stored())).toEqual(AGENT);
});

it('what is not exactly an agent of this id is none', () => {
  expect(agentOfRecord('01a203c9-3607-7519-92da-9f9a65a208af', stored())).toBeNull();
  for (const field of Object.keys(AGENT)) {
    const { [field]: _, ...rest } = stored();
    if (field !== 'lastActiveAt') expect(agentOfRecord(ID, rest)).toBeNull();
  }
  expect(agentOfRecord(ID, { ...stored(), status: 'running' })).toBeNull();
  expect(agentOfRecord(ID, { ...stored(), createdAt: 'soon' })).toBeNull();
  fc.assert(fc.property(fc.jsonValue(), (value) => agentOfRecord(ID, value) === null));
});

it('an agent runs while one of its turns lives, unless an operator set something else', () => {
  expect([statusOf('active', true), statusOf('active', false)]).toEqual(['running', 'idle']);
  for (const state of ['paused', 'stopped', 'error'] as const) {
    expect([statusOf(state, true), statusOf(state, false)]).toEqual([state, state]);
  }
});
