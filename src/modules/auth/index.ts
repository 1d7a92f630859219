export { Admission, admitBeforeBodies } from './admission.js';
export { RequiresAdmin, RequiresCredential, RequiresKey } from '../../platform/http/index.js';
export { AuthModule } from './auth.module.js';
export { CurrentPrincipal } from './current-principal.js';
export { isKeyOwner, KeyStandings } from './key-standings.js';
export { KEYS_REVOKED_CHANNEL } from './key-cache.js';
export { ownerOf, principalOfOwner, visibleOwners, type Principal } from './principal.js';
export { StreamPlaces } from './stream-places.js';
