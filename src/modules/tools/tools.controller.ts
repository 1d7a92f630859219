import { Controller, Get } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { RequiresKey } from '../../platform/http/index.js';
import { ToolCategoryDto } from './tool-category.dto.js';
import { ToolRegistry } from './tool-registry.js';

@RequiresKey()
@ApiTags('tools')
@Controller('api/v1/tools')
export class ToolsController {
  constructor(private readonly tools: ToolRegistry) {}

  /** Lists every tool that there is now, by group. */
  @Get()
  list(): ToolCategoryDto[] {
    return this.tools.describe().map((category) => ToolCategoryDto.from(category));
  }
}
