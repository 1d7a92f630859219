import { Body, Controller, Delete, Get, HttpCode, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import {
  linkNext,
  pageRequest,
  parseMoment,
  Problems,
  RequiresAdmin,
  RequiresCredential,
  UuidParam,
} from '../../platform/http/index.js';
import { ApiKeyDto, CreateApiKeyDto, CreatedApiKeyDto, ListApiKeysDto, ValidatedApiKeyDto } from './api-key.dto.js';
import { ApiKeysService } from './api-keys.service.js';
import { CurrentPrincipal } from './current-principal.js';
import type { Principal } from './principal.js';

@RequiresAdmin()
@Controller('api/v1/keys')
export class KeysController {
  constructor(private readonly keys: ApiKeysService) {}

  /** Makes an API key; the answer is the only place that shows it. */
  @Post()
  async create(
    @Body() body: CreateApiKeyDto,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CreatedApiKeyDto> {
    void reply.header('cache-control', 'no-store');
    const { key, rawKey } = await this.keys.create({
      name: body.name,
      rateLimitRpm: body.rate_limit_rpm ?? null,
      expiresAt: parseMoment(body.expires_at ?? ''),
      metadata: body.metadata ?? {},
    });
    return CreatedApiKeyDto.of(key, rawKey);
  }

  /** Lists the keys, newest first, revoked ones too. */
  @Get()
  async list(@Query() query: ListApiKeysDto, @Res({ passthrough: true }) reply: FastifyReply): Promise<ApiKeyDto[]> {
    const page = await this.keys.list(pageRequest(query), query.is_active ?? null);
    linkNext(reply, page.next);
    return page.items.map((key) => ApiKeyDto.from(key));
  }

  /** Tells whether the presented credential works. */
  @RequiresCredential()
  @Get('validate')
  validate(@CurrentPrincipal() principal: Principal): ValidatedApiKeyDto {
    return { valid: true, name: principal.kind === 'key' ? principal.name : principal.kind };
  }

  /** Revokes a key on every replica within 5 seconds. */
  @Problems('not_found')
  @HttpCode(204)
  @Delete(':id')
  async revoke(@UuidParam() id: string): Promise<void> {
    await this.keys.revoke(id);
  }
}
