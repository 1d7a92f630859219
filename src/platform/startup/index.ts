export { START_STEP, START_STEPS, StartStep, type StartStepName } from './start-step.js';
