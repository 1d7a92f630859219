export { loadStreams, type StreamLoad, type StreamLoadResult } from './load-streams.js';
