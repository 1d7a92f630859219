export { promptOf } from './prompt.js';
export { preferencesOf } from './http/prefer-header.js';
export { ConversationDto } from './http/task.dto.js';
export { TasksModule } from './tasks.module.js';
export { TurnEnds } from './turn-ends.js';
export { streamTurn } from './stream/turn-stream.js';
export { TurnsService } from './turns.service.js';
