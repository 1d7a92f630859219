import { describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { ToolRegistry, type AllowedTools, type Tool } from '../tools/index.js';
import { shelvesOf, stageTools } from './stage-tools.js';
import type { PodDetail } from './pod.js';

type Member = Parameters<typeof stageTools>[0];

const tool = (name: string, group: string, writes: boolean, idempotent: boolean): Tool => ({
  name,
  group,
  description: 'x'.repeat(100),
  schema: z.object({}),
  idempotent,
  writes,
  timeoutMs: 1,
  tiers: ['workspace'],
  run: () => Promise.resolve({ text: '' }),
});
const registry = new ToolRegistry();
registry.register(tool('read_file', 'files', false, true));
registry.register(tool('edit_file', 'files', true, false));
registry.register(tool('create_task', 'platform', false, false));

const member = (role: Member['role'], allowedTools: AllowedTools, parallelGroup: string | null = null): Member => ({
  id: role,
  role,
  parallelGroup,
  allowedTools: allowedTools === null ? null : [...allowedTools],
});

describe('the tools of a stage', () => {
  it.each<[Member['role'], AllowedTools, string | null, AllowedTools]>([
    ['task', null, null, null],
    ['task', ['edit_file', 'later'], null, ['edit_file', 'later']],
    ['task', null, 'together', ['read_file', 'create_task']],
    ['code_review', null, null, ['read_file', 'create_task']],
    ['code_review', ['files'], null, ['read_file']],
    ['context', null, null, ['read_file']],
    ['context', ['create_task', 'edit_file'], null, []],
  ])('%s with %j in the group %s has %j', (role, allowed, group, expected) => {
    const agent = member(role, allowed, group);
    const team = [agent, member('decision', [], 'together')];
    expect(stageTools(agent, team, 'workspace', registry)).toEqual(expected);
  });

  it('are none in a tier in which none works', () => {
    const agent = member('code_review', null);
    expect(stageTools(agent, [agent], 'isolated', registry)).toEqual([]);
  });

  it('are told for each agent, also for one that is disabled', () => {
    const many = {
      group: 'mcp:many',
      tools: () => Array.from({ length: 200 }, (_, i) => tool(`mcp__many__t${i}`, 'mcp:many', true, false)),
    };
    const remove = registry.registerGroup(many);
    const agents = [member('context', null, 'a'), { ...member('task', null, 'a'), enabled: false }];
    const pod = { sandbox: 'workspace', agents: agents.map((agent) => ({ enabled: true, ...agent })) } as PodDetail;
    const leftOut = (role: string): number | undefined => shelvesOf(pod, registry).get(role)?.leftOut.length;
    expect([leftOut('context'), leftOut('task')]).toEqual([0, 0]);
    pod.agents[0]!.enabled = false;
    expect(leftOut('task')).toBeGreaterThan(100);
    remove();
    expect(leftOut('task')).toBe(0);
  });
});
