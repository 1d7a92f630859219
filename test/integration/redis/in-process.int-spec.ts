import { InProcessSharedState } from '../../../src/platform/redis/index.js';
import { describeSharedState } from './live-state.contract.js';

describeSharedState('in one process', async () => {
  const state = new InProcessSharedState();
  state.start();
  return {
    connect: async () => state,
    wipe: async () => state.clear(),
    interrupt: async () => state.clear(),
    close: () => state.stop(),
  };
});
