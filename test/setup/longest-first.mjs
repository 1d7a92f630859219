import TestSequencer from '@jest/test-sequencer';

/** The shorter the suites, the later: the last ones are waited for by workers that have nothing left to do. */
const PROJECTS = ['e2e', 'integration', 'unit'];
/** About as many others as pass while a chaos suite runs. */
const BETWEEN_CHAOS = 30;

/**
 * Jest's own order, the projects one after another: a fresh machine, which knows no durations, would go by the size of the files.
 * Chaos suites come early, since they take longest, but hardly ever together, since each starts many processes.
 */
export default class LongestFirst extends TestSequencer {
  sort(tests) {
    const project = ({ context }) => context.config.displayName?.name;
    const sorted = super.sort(tests);
    const order = sorted
      .filter((test) => project(test) !== 'chaos')
      .toSorted((a, b) => PROJECTS.indexOf(project(a)) - PROJECTS.indexOf(project(b)));
    const chaos = sorted.filter((test) => project(test) === 'chaos');
    for (const [index, test] of chaos.entries()) order.splice(index * (BETWEEN_CHAOS + 1), 0, test);
    return order;
  }
}
