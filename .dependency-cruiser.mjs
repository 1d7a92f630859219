// The direction of the modules: each may import those before it, and only through their index.ts.
const ORDER = ['auth', 'llm', 'tools', 'mcp', 'loop', 'agents', 'tasks', 'chat', 'pods', 'pipeline'];

const upward = ORDER.slice(0, -1).map((name, index) => ({
  name: `${name}-imports-only-lower-modules`,
  severity: 'error',
  from: { path: `^src/modules/${name}/` },
  to: { path: `^src/modules/(${ORDER.slice(index + 1).join('|')})/` },
}));
// The rooms of the pipeline. A task is carried by the first chain, each room building on those before it; people and
// programs come in by the second, each room knowing those before it and what it names of the first chain.
const CHAIN = ['rules', 'guardrail', 'stages', 'store', 'run', 'worker'];
const FRONT = [
  // Views read tables; they know how a task is stored, and nothing that changes one.
  { room: 'views', knows: ['rules', 'guardrail', 'stages', 'store'] },
  // Commands store a task and its transitions, and clean up what a run has left. They call no worker: it finds its work.
  { room: 'commands', knows: ['rules', 'guardrail', 'stages', 'store', 'run', 'views'] },
  // The operator's routes reach the worker itself: one runs a pass of the reaper.
  { room: 'http', knows: [...CHAIN, 'views', 'commands'] },
];
const ROOMS = [...CHAIN, ...FRONT.map(({ room }) => room)];
const pipelineRooms = [...CHAIN.map((room, index) => ({ room, knows: CHAIN.slice(0, index) })), ...FRONT].flatMap(
  ({ room, knows }) => {
    const hidden = ROOMS.filter((other) => other !== room && !knows.includes(other));
    return hidden.length === 0
      ? []
      : [
          {
            name: `pipeline-${room}-knows-only-rooms-below`,
            severity: 'error',
            from: { path: `^src/modules/pipeline/${room}/` },
            to: { path: `^src/modules/pipeline/(${hidden.join('|')})/` },
          },
        ];
  },
);
const only = (name, library, path) => ({
  name,
  severity: 'error',
  from: { pathNot: path },
  to: { path: `(^|/)node_modules/${library}/`, dependencyTypesNot: ['type-only'] },
});

export default {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'modules-only-through-their-index',
      severity: 'error',
      from: { path: '^src/modules/([^/]+)/' },
      to: { path: '^src/modules/([^/]+)/', pathNot: ['^src/modules/$1/', '^src/modules/[^/]+/index\\.ts$'] },
    },
    {
      name: 'platform-only-through-its-index',
      severity: 'error',
      from: { path: '^src/modules/' },
      to: { path: '^src/(platform/[^/]+|config)/', pathNot: '^src/(platform/[^/]+|config)/index\\.ts$' },
    },
    {
      name: 'platform-and-config-know-no-module',
      severity: 'error',
      from: { path: '^src/(platform|config)/' },
      to: { path: '^src/modules/' },
    },
    {
      name: 'config-knows-nothing',
      severity: 'error',
      from: { path: '^src/config/' },
      to: { path: '^src/', pathNot: '^src/config/' },
    },
    {
      // Types say what the service gives; none of its code runs in the client.
      name: 'the-demo-is-a-client',
      severity: 'error',
      from: { path: '^src/demo/' },
      to: { path: '^src/', pathNot: '^src/demo/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'sql-only-in-repositories',
      severity: 'error',
      from: { pathNot: ['\\.repository\\.ts$', '^src/platform/database/'] },
      to: { path: '^src/platform/database/sql\\.ts$' },
    },
    {
      name: 'repositories-know-nothing-of-http',
      severity: 'error',
      from: { path: '\\.repository\\.ts$' },
      to: {
        path: [
          '^src/platform/http/',
          '^src/modules/[^/]+/http/',
          '\\.(dto|controller)\\.ts$',
          '(^|/)node_modules/fastify/',
        ],
      },
    },
    {
      name: 'paging-and-database-know-nothing-of-http',
      severity: 'error',
      from: { path: '^src/platform/(paging|database)/' },
      to: { path: '^src/platform/http/' },
    },
    only('pg-only-in-the-database', 'pg', '^src/platform/(database|embedded-postgres)/'),
    only('ioredis-only-in-redis', 'ioredis', '^src/platform/redis/'),
    ...upward,
    ...pipelineRooms,
    {
      name: 'pipeline-module-assembles-its-rooms',
      severity: 'error',
      from: { path: '^src/modules/pipeline/[^/]+/' },
      to: { path: '^src/modules/pipeline/[^/]+\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '\\.spec\\.ts$' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.js'],
    },
  },
};
