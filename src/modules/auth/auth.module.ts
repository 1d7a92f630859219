import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AccessGuard } from './access.guard.js';
import { AdminSecret } from './admin-secret.js';
import { ApiKeysRepository } from './api-keys.repository.js';
import { ApiKeysService } from './api-keys.service.js';
import { Authenticator } from './authenticator.js';
import { KeyCache } from './key-cache.js';
import { KeysController } from './keys.controller.js';
import { KeyUses } from './key-uses.js';
import { StreamPlaces } from './stream-places.js';

/** Credentials, and the guard in front of every route. Words: docs/glossary.md. */
@Module({
  controllers: [KeysController],
  providers: [
    AdminSecret,
    ApiKeysRepository,
    ApiKeysService,
    Authenticator,
    KeyCache,
    KeyUses,
    StreamPlaces,
    { provide: APP_GUARD, useClass: AccessGuard },
  ],
  exports: [StreamPlaces],
})
export class AuthModule {}
