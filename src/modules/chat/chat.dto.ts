import { IsString, Length } from 'class-validator';
import { MayBeOmitted } from '../../platform/http/index.js';
import { ConversationDto } from '../tasks/index.js';

/** A message to the canonical agent. */
export class ChatDto extends ConversationDto {
  /** Asked instead of the agent's own model. */
  @MayBeOmitted()
  @IsString()
  @Length(1, 200)
  model?: string;
}
