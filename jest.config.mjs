import { leftOut } from './test/setup/left-out.mjs';
import { clearSurroundings } from './test/setup/surroundings.mjs';

clearSurroundings();

// ES modules under jest: run through `npm test`, which sets NODE_OPTIONS=--experimental-vm-modules.
const swc = {
  swcrc: false,
  sourceMaps: 'inline',
  module: { type: 'es6' },
  jsc: {
    target: 'es2022',
    parser: { syntax: 'typescript', decorators: true },
    transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
    keepClassNames: true,
  },
};
const base = {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', swc] },
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  modulePathIgnorePatterns: ['<rootDir>/dist/'],
  setupFiles: ['<rootDir>/test/setup/realm.ts'],
};
const escaped = (file) => file.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const testPathIgnorePatterns = [
  '/node_modules/',
  ...leftOut().flatMap(({ files }) => files.map((file) => `<rootDir>/${escaped(file)}$`)),
];
const servers = {
  testPathIgnorePatterns,
  globalSetup: '<rootDir>/test/setup/servers.ts',
  globalTeardown: '<rootDir>/test/setup/teardown.ts',
};
export default {
  reporters: ['default', '<rootDir>/test/setup/left-out-reporter.mjs'],
  // Suites wait more than they compute: one more than the two processors that the tests are made for.
  maxWorkers: 3,
  testSequencer: '<rootDir>/test/setup/longest-first.mjs',
  workerIdleMemoryLimit: '1GB',
  // A big heap on a busy machine is not gone within Jest's half a second; what a suite leaves open stays for longer.
  workerGracefulExitTimeout: 10_000,
  testTimeout: 180_000,
  coverageProvider: 'babel',
  collectCoverageFrom: ['src/**/*.ts'],
  projects: [
    { ...base, displayName: 'unit', testMatch: ['<rootDir>/{src,bench}/**/*.spec.ts'] },
    { ...base, ...servers, displayName: 'integration', testMatch: ['<rootDir>/test/integration/**/*.int-spec.ts'] },
    { ...base, ...servers, displayName: 'e2e', testMatch: ['<rootDir>/test/e2e/**/*.e2e-spec.ts'] },
    { ...base, ...servers, displayName: 'chaos', testMatch: ['<rootDir>/test/chaos/**/*.chaos-spec.ts'] },
  ],
};
