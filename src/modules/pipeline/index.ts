export { PipelineBackground } from './worker/pipeline.background.js';
export { PipelineModule } from './pipeline.module.js';
