import { Module } from '@nestjs/common';
import { AgentsModule } from '../agents/index.js';
import { TasksModule } from '../tasks/index.js';
import { ChatController } from './chat.controller.js';

/** Conversations with the canonical agent. Words: docs/glossary.md. */
@Module({ imports: [AgentsModule, TasksModule], controllers: [ChatController] })
export class ChatModule {}
