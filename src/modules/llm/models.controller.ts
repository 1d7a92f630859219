import { Controller, Delete, Get, HttpCode, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { Problems } from '../../platform/http/index.js';
import { RequiresAdmin, RequiresKey } from '../auth/index.js';
import { ForgetOptionsDto, ModelDto } from './model.dto.js';
import { OfferedModels } from './offered-models.js';

@RequiresKey()
@ApiTags('models')
@Controller('api/v1/models')
export class ModelsController {
  constructor(private readonly models: OfferedModels) {}

  /** Lists the models that can be asked, and what each is asked otherwise than usual. */
  @Get()
  async list(): Promise<ModelDto[]> {
    return (await this.models.all()).map((model) => ModelDto.from(model));
  }

  /** Forgets what endpoints refused, so that it is tried again. */
  @RequiresAdmin()
  @Delete('options')
  @HttpCode(204)
  @Problems('not_found')
  async forgetOptions(@Query() query: ForgetOptionsDto): Promise<void> {
    await this.models.forget(query.model);
  }
}
