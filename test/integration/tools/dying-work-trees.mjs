// Does one thing with work trees, and is killed right before its n-th step that makes, names or removes a file. Or does everything
// and says how many such steps each thing takes. Threads are left out, so that all steps are counted in one process.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const [dist, workspace, dataDir, action, at] = process.argv.slice(2);
let left = Number(at);
let steps = 0;

function step() {
  steps += 1;
  if ((left -= 1) === 0) process.kill(process.pid, 'SIGKILL');
}

function counted(from, names) {
  for (const name of names) {
    const real = from[name];
    from[name] = (...args) => {
      if (begun) step();
      return real(...args);
    };
  }
}

let begun = false;
const names = ['mkdir', 'mkdtemp', 'rename', 'link', 'symlink', 'unlink', 'rmdir', 'rm', 'writeFile', 'open'];
counted(fs.promises, names);
counted(
  fs,
  names.map((name) => `${name}Sync`),
);
syncBuiltinESMExports();

const load = (path) => import(new URL(path, dist).href);
const { ThreadPool } = await load('platform/threads/index.js');
const jobs = await load('modules/tools/work-tree/trees.worker.js');
ThreadPool.prototype.run = (name, order) => Promise.resolve(jobs[name](order));
const { AppConfig } = await load('config/index.js');
const { WorkTrees } = await load('modules/tools/work-tree/work-trees.js');
const trees = new WorkTrees(AppConfig.from({ NOVA_WORKSPACE: workspace, NOVA_DATA_DIR: dataDir }));
const task = '0190a000-0000-7000-8000-000000000001';
const home = `${dataDir}/trees/${task}`;
const tree = (epoch) => ({ taskId: task, epoch, root: `${home}/tree-${epoch}` });
const actions = {
  fill: () => trees.open(task, 1),
  'take over': () => trees.open(task, 2),
  publish: () => trees.publish(tree(fs.existsSync(tree(2).root) ? 2 : 1)),
  'take back': () => trees.withdraw(task),
};

if (action === 'count') {
  const counts = {};
  for (const [name, work] of Object.entries(actions)) {
    if (name === 'publish') fs.writeFileSync(`${tree(2).root}/a.txt`, 'changed');
    steps = 0;
    begun = true;
    await work();
    begun = false;
    counts[name] = steps;
  }
  console.log(JSON.stringify(counts));
} else {
  begun = true;
  await actions[action]();
}
process.exit(0);
