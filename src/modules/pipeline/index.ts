export { PipelineBackground } from './pipeline.background.js';
export { PipelineModule } from './pipeline.module.js';
