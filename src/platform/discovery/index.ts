export { decoratedMethods, type DecoratedMethod } from './decorated-methods.js';
