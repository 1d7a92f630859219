export { scanChunk } from './scan-chunk.js';
