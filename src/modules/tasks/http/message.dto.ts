import { applyDecorators } from '@nestjs/common';
import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  IsArray,
  IsDefined,
  IsIn,
  IsObject,
  IsString,
  Matches,
  ValidateBy,
  ValidateNested,
} from 'class-validator';
import { MaxCharacters, MayBeOmitted } from '../../../platform/http/index.js';
import type { ContentPart } from '../prompt.js';

const ROLES = ['system', 'user', 'assistant', 'tool'] as const;
const MOST_PARTS = 100;
/** A text as long as the longest body; nothing else bounds it. */
const TEXT = { type: 'string', maxLength: 1_048_576 } as const;
const IMAGE_URL = /^(https?:\/\/|data:image\/[\w.+-]+;base64,[A-Za-z0-9+/]*={0,2}$)/;

/** The function that a tool call asks for. */
export class ToolCallFunctionDto {
  @IsString()
  @Matches(/^[\w-]{1,64}$/)
  name: string;

  /** JSON, as the model wrote it. */
  @IsString()
  @MaxCharacters(1_000_000)
  arguments: string;
}

/** A tool call that an assistant asked for. */
export class MessageToolCallDto {
  @IsString()
  @Matches(/^[\w-]{1,64}$/)
  id: string;

  @MayBeOmitted()
  @IsIn(['function'])
  type?: 'function';

  @IsDefined()
  @IsObject()
  @ValidateNested()
  @Type(() => ToolCallFunctionDto)
  function: ToolCallFunctionDto;
}

/** One message of a conversation. */
export class MessageDto {
  @IsIn(ROLES)
  role: (typeof ROLES)[number];

  /** Text, or parts: texts and images. */
  @IsContent()
  content: string | ContentPart[];

  /** Kept out of the prompt; accepted for clients that send it. */
  @MayBeOmitted()
  @IsString()
  @MaxCharacters(100)
  name?: string;

  /** On `tool` messages: the call whose result this is. */
  @MayBeOmitted()
  @IsString()
  @Matches(/^[\w-]{1,64}$/)
  tool_call_id?: string;

  /** On `assistant` messages: the calls it asked for. */
  @MayBeOmitted()
  @IsArray()
  @ArrayMaxSize(128)
  @ValidateNested({ each: true })
  @Type(() => MessageToolCallDto)
  tool_calls?: MessageToolCallDto[];
}

/** Checks a message's content: the end of a sentence that says the fault, or null. */
function contentFault(content: unknown): string | null {
  if (typeof content === 'string') return null;
  if (!Array.isArray(content)) return ' must be a text or an array of parts';
  if (content.length < 1 || content.length > MOST_PARTS) return ` must have 1 to ${MOST_PARTS} parts`;
  for (const [index, part] of (content as unknown[]).entries()) {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return `[${index}] must be an object`;
    const { type, text, image_url: image, ...rest } = part as Record<string, unknown>;
    if (Object.keys(rest).length > 0) return `[${index}] has a field that is not known`;
    if (type === 'text') {
      if (typeof text !== 'string' || image !== undefined) return `[${index}].text must be a text`;
    } else if (type === 'image_url') {
      const { url, ...more } = (image ?? {}) as Record<string, unknown>;
      const isUrl = typeof url === 'string' && IMAGE_URL.test(url) && URL.canParse(url);
      if (text !== undefined || !isUrl || Object.keys(more).length > 0) {
        return `[${index}].image_url.url must be an http(s) URL or base64 data of an image`;
      }
    } else return `[${index}].type must be text or image_url`;
  }
  return null;
}

function IsContent(): PropertyDecorator {
  const part = (name: string, schema: object): object => ({
    type: 'object',
    additionalProperties: false,
    required: ['type', name],
    properties: { type: { type: 'string', enum: [name] }, [name]: schema },
  });
  const url = {
    type: 'object',
    additionalProperties: false,
    required: ['url'],
    properties: { url: TEXT },
  };
  return applyDecorators(
    ValidateBy({
      name: 'isContent',
      validator: {
        validate: (value) => contentFault(value) === null,
        defaultMessage: (argument) => `content${contentFault(argument?.value) ?? ''}`,
      },
    }),
    ApiProperty({
      oneOf: [
        TEXT,
        {
          type: 'array',
          minItems: 1,
          maxItems: MOST_PARTS,
          items: { oneOf: [part('text', TEXT), part('image_url', url)] },
        },
      ],
    }),
  );
}
