import { Module } from '@nestjs/common';
import { SecretBox } from './secret-box.js';
import { SecretsIndicator } from './secrets.indicator.js';

@Module({ providers: [SecretBox, SecretsIndicator], exports: [SecretBox] })
export class SecretsModule {}
