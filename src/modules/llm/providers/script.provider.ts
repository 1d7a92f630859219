import type { LanguageModelV3 } from '@ai-sdk/provider';
import { SCRIPTS } from '../script/scripts.js';
import { ScriptModel } from '../script/script-model.js';
import { ProviderNotUsableError, type ModelProvider } from './model-provider.js';

/** The scripted models in the box (`script/<name>`). */
export class ScriptProvider implements ModelProvider {
  readonly name = 'script';
  readonly takesSchemaBesideTools = true;

  has(id: string): boolean {
    return Object.hasOwn(SCRIPTS, id);
  }

  model(id: string): LanguageModelV3 {
    const script = SCRIPTS[id];
    if (!script) throw new ProviderNotUsableError('has no script of this name');
    return new ScriptModel(id, script);
  }

  list(): Promise<string[]> {
    return Promise.resolve(['demo', 'echo']);
  }
}
