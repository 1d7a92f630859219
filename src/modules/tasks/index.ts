export { promptOf } from './conversation.js';
export { preferencesOf } from './preferences.js';
export { ConversationDto } from './task.dto.js';
export { TasksModule } from './tasks.module.js';
export { streamTurn } from './turn-stream.js';
export { TurnsBackground } from './turns.background.js';
export { TurnsService } from './turns.service.js';
