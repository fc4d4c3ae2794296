const transform = {
  '^.+\\.ts$': [
    '@swc/jest',
    {
      jsc: {
        target: 'es2022',
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
        keepClassNames: true,
      },
      module: { type: 'es6' },
      sourceMaps: 'inline',
    },
  ],
};
const project = (displayName, testMatch, extra = {}) => ({
  displayName,
  rootDir: import.meta.dirname,
  roots: ['<rootDir>/apps', '<rootDir>/libs', '<rootDir>/deploy'],
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['test', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  setupFiles: ['reflect-metadata'],
  transform,
  testMatch,
  ...extra,
});
const contract = ['**/*.contract.spec.ts'];

export default {
  // Long waits cost nothing where nothing is wrong, and a busy machine may need them.
  testTimeout: 120_000,
  maxWorkers: 2,
  globalSetup: '<rootDir>/libs/testing/src/global-setup.ts',
  globalTeardown: '<rootDir>/libs/testing/src/global-teardown.ts',
  projects: [
    project('rules', ['**/!(*.int|*.contract).spec.ts']),
    project('int', ['**/*.int.spec.ts']),
    project('solo', contract, { globals: { topology: 'solo' } }),
    project('cluster', contract, { globals: { topology: 'cluster' } }),
  ],
};
