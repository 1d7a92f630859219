import type { BoundsEnd } from './box-watch.js';

/** Why what ran in a box was ended that took too much, for the model. */
export const BOUNDS_ENDS: Record<BoundsEnd, string> = {
  memory: 'its processes together took more memory than it may',
  processes: 'it ran more processes at a time than it may',
  sockets: 'it held more sockets than it may',
  tree_bytes: 'the folder grew to more bytes than it may hold; remove what is not needed and write less',
  tree_entries: 'the folder grew to more files than it may hold; remove what is not needed and make fewer',
  tree_unreadable: 'the folder grew, and parts of it cannot be looked into',
  storage: 'the disk of the service is nearly full and it was writing there; remove what is not needed',
};
