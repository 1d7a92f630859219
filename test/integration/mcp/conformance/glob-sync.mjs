// Lets the conformance suite load on a Node without `fs.globSync`, which its client mode never calls:
// `node --import ./glob-sync.mjs …/conformance/dist/index.js client …`.
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

if (isMainThread) register(import.meta.url);

const WITH_GLOB_SYNC = `data:text/javascript,${encodeURIComponent(
  "export * from 'node:fs'; export { default } from 'node:fs'; export const globSync = undefined;",
)}`;

export async function resolve(specifier, context, next) {
  const ofSuite = context.parentURL?.includes('/@modelcontextprotocol/conformance/') === true;
  if (!ofSuite || !/^(?:node:)?fs$/.test(specifier)) return next(specifier, context);
  return { url: WITH_GLOB_SYNC, shortCircuit: true };
}
