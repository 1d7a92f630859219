import 'reflect-metadata';
import { types } from 'node:util';

// Jest runs specs in a realm of their own, where errors that Node's core throws are not `instanceof Error`.
// Libraries branch on that (the AI SDK wraps a refused connection only then), so the check is made realm-blind.
for (const ctor of [Error, TypeError]) {
  Object.defineProperty(ctor, Symbol.hasInstance, {
    value: function (this: ErrorConstructor, value: unknown): boolean {
      const prototype = this.prototype as object;
      if (typeof value === 'object' && value !== null && prototype.isPrototypeOf(value)) return true;
      return types.isNativeError(value) && (this === Error || value.name === this.name);
    },
  });
}
