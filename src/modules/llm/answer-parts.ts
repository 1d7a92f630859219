import type { SharedV3ProviderMetadata } from '@ai-sdk/provider';
import { storableJson, storableText } from '../../platform/database/index.js';
import type { AnswerPart } from './model-call.js';

interface OpenPart {
  type: 'text' | 'reasoning';
  id: string;
  /** Where a text stands in the answer's own; what was thought is in no answer. */
  from: number;
  to: number;
  thoughts: string[];
  metadata: SharedV3ProviderMetadata | undefined;
}

/** The order and the providers' own data of an answer's parts, for providers that want their thoughts back as they came. */
export class AnswerParts {
  private readonly parts: (OpenPart | { type: 'tool-call'; call: number })[] = [];

  open(type: 'text' | 'reasoning', id: string, at: number, metadata?: SharedV3ProviderMetadata): void {
    this.parts.push({ type, id, from: at, to: at, thoughts: [], metadata });
  }

  /** `text` is what was thought; `at` is the length of the answer's text after the piece. */
  add(type: 'text' | 'reasoning', id: string, at: number, text: string, metadata?: SharedV3ProviderMetadata): void {
    const part = this.find(type, id);
    if (!part) return;
    part.to = at;
    if (type === 'reasoning') part.thoughts.push(text);
    this.describe(part, metadata);
  }

  close(type: 'text' | 'reasoning', id: string, metadata?: SharedV3ProviderMetadata): void {
    const part = this.find(type, id);
    if (part) this.describe(part, metadata);
  }

  call(position: number): void {
    this.parts.push({ type: 'tool-call', call: position });
  }

  /** The parts, where the provider gave data of its own with one of them; `text` is the answer's. */
  wanted(text: string): AnswerPart[] | undefined {
    if (!this.parts.some((part) => part.type !== 'tool-call' && part.metadata !== undefined)) return undefined;
    return this.parts.map((part): AnswerPart => {
      if (part.type === 'tool-call') return part;
      const words = part.type === 'text' ? text.slice(part.from, part.to) : storableText(part.thoughts.join(''));
      return { type: part.type, text: words, ...(part.metadata && { metadata: storableJson(part.metadata) }) };
    });
  }

  private find(type: 'text' | 'reasoning', id: string): OpenPart | undefined {
    return this.parts.findLast((part): part is OpenPart => part.type === type && 'id' in part && part.id === id);
  }

  private describe(part: OpenPart, metadata: SharedV3ProviderMetadata | undefined): void {
    if (!metadata) return;
    const known = { ...part.metadata };
    for (const [name, values] of Object.entries(metadata)) {
      const own = Object.fromEntries(
        Object.entries(values).filter(([, value]) => value !== null && value !== undefined),
      );
      known[name] = { ...known[name], ...own } as SharedV3ProviderMetadata[string];
    }
    part.metadata = known;
  }
}
