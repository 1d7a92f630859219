import { ApiProperty } from '@nestjs/swagger';
import type { ToolCategory } from './tool-registry.js';

/** A tool as models know it. */
export class ListedToolDto {
  name: string;
  description: string;
}

/** A group of tools; allow-lists may name the group instead of its tools. */
export class ToolCategoryDto {
  /** The group: `files`, `shell`, `git`, `platform`, or `mcp:<server>`. */
  category: string;
  @ApiProperty({ enum: ['builtin', 'mcp'] })
  source: 'builtin' | 'mcp';
  tools: ListedToolDto[];

  static from({ category, source, tools }: ToolCategory): ToolCategoryDto {
    return { category, source, tools: tools.map(({ name, description }) => ({ name, description })) };
  }
}
