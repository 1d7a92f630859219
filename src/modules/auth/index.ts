export { ownerOf, visibleOwners, type Principal } from './principal.js';
