import { DiscoveryService, MetadataScanner, type DiscoverableDecorator } from '@nestjs/core';

/** A method of a provider that carries a decorator. */
export interface DecoratedMethod<Options> {
  /** `Class.method`. */
  readonly name: string;
  readonly options: Options;
  /** The method, bound to its provider. */
  readonly call: (...args: unknown[]) => unknown;
}

/** The methods of all providers that carry `decorator`, in the order in which modules were found. */
export function decoratedMethods<Options>(
  discovery: DiscoveryService,
  decorator: DiscoverableDecorator<Options>,
): DecoratedMethod<Options>[] {
  const scanner = new MetadataScanner();
  const seen = new Set<object>();
  const found: DecoratedMethod<Options>[] = [];
  for (const { instance } of discovery.getProviders() as { instance: unknown }[]) {
    // An alias of a provider is the same instance again.
    if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue;
    seen.add(instance);
    const prototype = Object.getPrototypeOf(instance) as object | null;
    if (prototype === null || prototype === Object.prototype) continue;
    for (const key of scanner.getAllMethodNames(prototype)) {
      const method = (instance as Record<string, (...args: unknown[]) => unknown>)[key];
      const options = method && (Reflect.getMetadata(decorator.KEY, method) as Options | undefined);
      if (method === undefined || options === undefined) continue;
      found.push({ name: `${instance.constructor.name}.${key}`, options, call: method.bind(instance) });
    }
  }
  return found;
}
