export { START_STEP, START_STEPS, StartStep } from './start-step.js';
