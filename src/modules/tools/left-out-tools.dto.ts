import { ApiProperty } from '@nestjs/swagger';
import { SEARCH_TOOLS, type OfferedTools } from './offered-tools.js';

/** Tools of an agent that its model is not shown from the first. */
export class LeftOutToolsDto {
  @ApiProperty({ type: 'integer' })
  count: number;
  /** The first 200 of them, as models are shown them. */
  names: string[];
  /** Why, and how the agent gets at them. */
  reason: string;

  /** Undefined where all are shown. */
  static from(shelf: OfferedTools): LeftOutToolsDto | undefined {
    const names = shelf.leftOut;
    if (names.length === 0) return undefined;
    return {
      count: names.length,
      names: names.slice(0, 200),
      reason:
        `Definitions of tools may take a quarter of the context, ${shelf.budget} tokens, and 128 places. ` +
        `The agent finds and loads the others with ${SEARCH_TOOLS}.`,
    };
  }
}
