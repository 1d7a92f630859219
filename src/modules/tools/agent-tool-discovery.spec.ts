import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { z } from 'zod';
import { AgentToolDiscovery } from './agent-tool-discovery.js';
import { AgentTool } from './agent-tool.js';
import { ToolRegistry } from './tool-registry.js';
import type { Tool, ToolResult } from './tool.js';

@Injectable()
class Answers {
  readonly text = 'from a provider';
}

@Injectable()
abstract class Base implements Tool {
  readonly group = 'files';
  readonly description = 'A tool.';
  readonly schema = z.strictObject({});
  readonly idempotent = true;
  readonly writes = false;
  readonly timeoutMs = 1_000;
  readonly tiers = ['workspace'] as const;
  abstract readonly name: string;
  constructor(private readonly answers: Answers) {}
  async run(): Promise<ToolResult> {
    return { text: this.answers.text };
  }
}

@AgentTool()
class Marked extends Base {
  readonly name: string = 'marked';
}
@AgentTool()
class Again extends Base {
  readonly name = 'marked';
}
@Injectable()
class Unmarked extends Base {
  readonly name = 'unmarked';
}

async function boot(...tools: (new (answers: Answers) => Tool)[]): Promise<ToolRegistry> {
  const module = await Test.createTestingModule({
    imports: [DiscoveryModule],
    providers: [Answers, AgentToolDiscovery, { provide: ToolRegistry, useFactory: () => new ToolRegistry() }, ...tools],
  }).compile();
  await module.init();
  return module.get(ToolRegistry);
}

describe('the tools of agents', () => {
  it('are the providers that carry the decorator, with what they inject', async () => {
    const registry = await boot(Marked, Unmarked);
    expect(registry.find('unmarked')).toBeNull();
    expect(await registry.find('marked')?.run({}, {} as never)).toEqual({ text: 'from a provider' });
  });

  it('are refused when two have one name', async () => {
    await expect(boot(Marked, Again)).rejects.toThrow('registered twice');
  });
});
