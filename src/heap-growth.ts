import { setFlagsFromString } from 'node:v8';

/**
 * How far the heap may grow beyond what is alive before it is collected. V8 by itself lets it grow to several times that: in
 * `bench:tasks` and `bench:streams` the process took 100 to 150 MB more, and less than 2 % less CPU. It counts from the next
 * collection on, so this module is loaded before all that fills the heap.
 */
const HEAP_GROWTH_PERCENT = 30;

setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`);
