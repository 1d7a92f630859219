/**
 * Advisory locks of the platform, as pairs of numbers: a class of our own, so that nothing else in the database takes
 * them by chance, and one number for each purpose.
 */
export const LOCK_CLASS = 0x6e6f7661;
export const MIGRATION_LOCK = 1;
export const SINGLE_PROCESS_LOCK = 2;
/** A class whose numbers are those of keys that transactions take turns for. */
export const KEYED_LOCK_CLASS = 0x6e6f766b;
