/** Who makes a request, as its credential proves. */
export type Principal =
  | { readonly kind: 'admin' }
  | { readonly kind: 'key'; readonly keyId: string; readonly name: string }
  | { readonly kind: 'anonymous' };

/** The value of `owner` columns: `admin`, `anonymous` or `key:<id>`. */
export function ownerOf(principal: Principal): string {
  return principal.kind === 'key' ? `key:${principal.keyId}` : principal.kind;
}

/** The caller that an `owner` column names, for work that its own work starts. */
export function principalOfOwner(owner: string): Principal {
  if (owner === 'admin' || owner === 'anonymous') return { kind: owner };
  return { kind: 'key', keyId: owner.replace(/^key:/, ''), name: owner };
}

/**
 * Owners whose work `principal` may see: null is everybody's. Anonymous work is everybody's while auth is off, and only
 * the admin's while it is on.
 */
export function visibleOwners(principal: Principal, authRequired: boolean): readonly string[] | null {
  if (principal.kind === 'admin') return null;
  const own = ownerOf(principal);
  return authRequired || own === 'anonymous' ? [own] : [own, 'anonymous'];
}
