import { Module } from '@nestjs/common';
import { RedisModule } from '../../platform/redis/index.js';
import { APP_GUARD } from '@nestjs/core';
import { Admission } from './admission.js';
import { AdminSecret } from './admin-secret.js';
import { ApiKeysRepository } from './api-keys.repository.js';
import { ApiKeysService } from './api-keys.service.js';
import { AuthenticationGuard } from './authentication.guard.js';
import { Authenticator } from './authenticator.js';
import { KeyCache } from './key-cache.js';
import { KeyStandings } from './key-standings.js';
import { KeysController } from './keys.controller.js';
import { KeyUses } from './key-uses.js';
import { RateLimitGuard } from './rate-limit.guard.js';
import { StreamPlacesGuard } from './stream-places.guard.js';
import { StreamPlaces } from './stream-places.js';

/** Credentials, and the three guards in front of every route. Words: docs/glossary.md. */
@Module({
  imports: [RedisModule],
  controllers: [KeysController],
  providers: [
    AdminSecret,
    Admission,
    ApiKeysRepository,
    ApiKeysService,
    Authenticator,
    KeyCache,
    KeyStandings,
    KeyUses,
    StreamPlaces,
    // In this order: who calls, whether it may call now, whether it may hold one more stream open.
    { provide: APP_GUARD, useClass: AuthenticationGuard },
    { provide: APP_GUARD, useClass: RateLimitGuard },
    { provide: APP_GUARD, useClass: StreamPlacesGuard },
  ],
  exports: [KeyStandings, StreamPlaces],
})
export class AuthModule {}
