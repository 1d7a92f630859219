export { decoratedMethods } from './decorated-methods.js';
