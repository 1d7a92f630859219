import { lastWords } from './left-out.mjs';

/** Says at the end of a run of several projects what it left out, and what would bring it. */
export default class LeftOutReporter {
  onRunComplete(contexts) {
    const names = [...contexts].map(({ config }) => config.displayName?.name);
    if (!names.some((name) => name !== 'unit')) return;
    const words = lastWords();
    // Jest's own summary comes after all reporters.
    if (words !== '') process.once('exit', () => process.stderr.write(`\n${words}`));
  }
}
