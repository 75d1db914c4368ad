import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 collect when the heap is three times what the last collection left. With an old generation as small as
 * NODE_OPTIONS allows it (which limits it all the same) it would at some 1.3 times; and since texts of stream entries
 * are too large for the young generation, a service that lets megabytes of them pass would mark its whole heap several
 * times a second, at a quarter of its CPU.
 */
export function collectLessOften(): void {
  setFlagsFromString('--heap-growing-percent=200');
}
