export { freeSpace, isShort, mustStayFree, RoomGauge, type Free, type FreeSpace } from './free-space.js';
