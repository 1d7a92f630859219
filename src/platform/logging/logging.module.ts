import { Global, Module, type DynamicModule } from '@nestjs/common';
import { Scrubber } from './scrubber.js';

@Global()
@Module({})
export class LoggingModule {
  /** Makes the process's one scrubber injectable by its class. */
  static with(scrubber: Scrubber): DynamicModule {
    return { module: LoggingModule, providers: [{ provide: Scrubber, useValue: scrubber }], exports: [Scrubber] };
  }
}
