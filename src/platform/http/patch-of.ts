import type { Type } from '@nestjs/common';
import { PartialType } from '@nestjs/swagger';

/** The fields of a body class, without its methods, each of which may be absent. */
export type PatchFields<Body> = {
  [Name in keyof Body as Body[Name] extends (...args: never[]) => unknown ? never : Name]?: Body[Name];
};

/**
 * A base class for the body of a PATCH: the fields of `create` with their rules and descriptions, each of which may be left
 * out. Null is taken where `create` takes it and nowhere else. A field that is left out is undefined: the defaults of
 * `create` are for new things and would overwrite what is stored.
 */
export function PatchOf<Body extends object>(create: Type<Body>): Type<PatchFields<Body>> {
  class Patch extends PartialType(create as Type<object>, { skipNullProperties: false }) {
    constructor() {
      super();
      for (const name of Object.keys(this)) Reflect.deleteProperty(this, name);
    }
  }
  return Patch as Type<PatchFields<Body>>;
}
