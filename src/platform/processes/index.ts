import { closeInheritedDescriptors } from './inherited-descriptors.js';

// Before the first child can be started: everything that starts one takes the functions from here.
closeInheritedDescriptors();

export { homeOr } from './home.js';
export { execFile, execFileSync, spawn, spawnSync, type ChildProcess, type StdioOptions } from 'node:child_process';
export { killGroup } from './kill-group.js';
