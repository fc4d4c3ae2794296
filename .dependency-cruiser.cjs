/** The arrows of the design: surface -> bus -> domain types; apps -> libs; never app -> app or surface -> surface. */
const no = (name, comment, from, to) => ({ name, severity: 'error', comment, from, to });

module.exports = {
  forbidden: [
    no('no-circular', 'a cycle hides which part is below the other', {}, { circular: true }),
    no(
      'domain-is-pure',
      'rules import only themselves and zod',
      { path: '^libs/domain/src', pathNot: '\\.spec\\.ts$' },
      { pathNot: '^libs/domain/|node_modules/(zod|uuid|croner)/|^(node:)?crypto$' },
    ),
    no(
      'libs-know-no-app',
      'apps use libs, never the reverse',
      { path: '^libs/', pathNot: '^libs/testing' },
      { path: '^(apps|deploy)/' },
    ),
    no(
      'ledger-below-bus',
      'the ledger knows no bus',
      { path: '^libs/ledger', pathNot: '\\.spec\\.ts$' },
      { path: '^libs/(bus|service|admission)' },
    ),
    no(
      'bus-below-service',
      'the bus knows neither ledger nor service',
      { path: '^libs/bus', pathNot: '\\.spec\\.ts$' },
      { path: '^libs/(ledger|service|admission)' },
    ),
    no(
      'apps-are-strangers',
      'services speak over the bus',
      { path: '^apps/([^/]+)/' },
      { path: '^apps/', pathNot: '^apps/($1/|[^/]+\\.ts$)' },
    ),
    no(
      'surfaces-are-strangers',
      'a surface never uses another',
      { path: '^apps/gateway/src/surfaces/([^/.]+)/' },
      { path: '^apps/gateway/src/surfaces/[^/.]+/', pathNot: '^apps/gateway/src/surfaces/$1/' },
    ),
    no(
      'gateway-owns-no-stream',
      'the gateway asks and sends',
      { path: '^apps/gateway', pathNot: '\\.spec\\.ts$' },
      { path: '^libs/(ledger|admission)' },
    ),
    no(
      'cli-speaks-http',
      'the command line starts fast and needs a server, not its code',
      { path: '^apps/cli/', pathNot: '\\.spec\\.ts$' },
      {
        path: '^(apps|libs|deploy|node_modules)/',
        pathNot: '^apps/cli/|^node_modules/(socket\\.io-client|@types/node)/',
      },
    ),
    no(
      'testing-only-in-tests',
      'the test library stays out of the product',
      { path: '^(apps|libs|deploy)', pathNot: '\\.(spec|harness)\\.ts$|^libs/testing' },
      { path: '^libs/testing' },
    ),
    no('no-orphan-imports', 'what is imported exists', {}, { couldNotResolve: true }),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      conditionNames: ['types', 'import', 'require', 'node', 'default'],
      exportsFields: ['exports'],
    },
  },
};
