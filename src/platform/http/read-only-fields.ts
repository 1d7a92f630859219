const READ_ONLY = Symbol('read-only fields');

/**
 * On the body class of a PATCH: names the fields of the resource's representation that callers may send back unchanged
 * in meaning; they are dropped before validation. `Representation` checks the names.
 */
export function IgnoresReadOnly<Representation>(...names: (keyof Representation & string)[]): ClassDecorator {
  return (target) => {
    Reflect.defineMetadata(READ_ONLY, names, target);
  };
}

/** `body` without the read-only fields that its class names. */
export function withoutReadOnly(body: Record<string, unknown>, bodyClass: object): Record<string, unknown> {
  const names = Reflect.getMetadata(READ_ONLY, bodyClass) as readonly string[] | undefined;
  if (names === undefined) return body;
  return Object.fromEntries(Object.entries(body).filter(([name]) => !names.includes(name)));
}
