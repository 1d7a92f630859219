export { StorageModule } from './storage.module.js';
export { StorageRoom } from './storage-room.js';
