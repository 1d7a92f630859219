export { freeSpace, isShort, type FreeSpace } from './free-space.js';
export { StorageModule } from './storage.module.js';
export { StorageRoom } from './storage-room.js';
