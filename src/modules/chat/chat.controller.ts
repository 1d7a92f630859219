import { Body, Controller, Headers, HttpCode, Post, Res } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Clock } from '../../platform/clock/index.js';
import { DomainError } from '../../platform/errors/index.js';
import { Problems, Sends, Streams } from '../../platform/http/index.js';
import { AgentsService } from '../agents/index.js';
import { CurrentPrincipal, ownerOf, RequiresAdmin, type Principal } from '../auth/index.js';
import { preferencesOf, promptOf, streamTurn, TurnsService } from '../tasks/index.js';
import { ChatDto } from './chat.dto.js';

@RequiresAdmin()
@ApiTags('chat')
@Controller('api/v1/chat')
export class ChatController {
  constructor(
    private readonly clock: Clock,
    private readonly agents: AgentsService,
    private readonly turns: TurnsService,
  ) {}

  /**
   * Streams the canonical agent's answer. A session answers one message at a time: until its turn has ended, or the process
   * that runs it has died, further ones are refused.
   */
  @Post('stream')
  @Streams()
  @HttpCode(200)
  @Sends('X-Task-Id', 'X-Session-Id')
  @ApiHeader({ name: 'Prefer', required: false, schema: { type: 'string', maxLength: 16_384 } })
  @ApiProduces('text/event-stream')
  @ApiOkResponse({
    description:
      'Each `data:` is `{"status":{step,state,…}}`, `{"t":"<text>"}`, `{"error":"<message>"}` or, last, `[DONE]`.',
    content: { 'text/event-stream': { schema: { type: 'string' } } },
  })
  @Problems('session_busy', 'agent_stopped', 'no_model', 'model_not_allowed', 'draining', 'storage_full')
  async stream(
    @CurrentPrincipal() principal: Principal,
    @Body() body: ChatDto,
    @Headers('prefer') prefer: string | undefined,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const prompt = promptOf(body.messages);
    const agent = await this.agents.findCanonical();
    if (agent === null) {
      throw new DomainError('dependency_unavailable', 'The service is starting: its agent is not there yet.');
    }
    const sessionId = body.session_id ?? this.clock.newId();
    const started = await this.turns.start(agent.id, {
      owner: ownerOf(principal),
      origin: 'chat',
      prompt,
      sessionId,
      taskType: 'chat',
      metadata: body.metadata ?? {},
      ...(body.model !== undefined && { model: body.model }),
      answerWithinMs: 0,
      needsReaders: !preferencesOf(prefer).respondAsync,
    });
    if ('turn' in started) await streamTurn(reply, started.turn, sessionId);
  }
}
