import { describe, expect, it } from '@jest/globals';
import { AppConfig } from '../../config/index.js';
import { mostConnections, openFilesFault, openFilesNeeded } from './open-files.js';

const config = (env: Record<string, string> = {}): AppConfig => AppConfig.from(env);

describe('the limit of open files', () => {
  it('is told with the number to set when the settings do not fit', () => {
    const needed = openFilesNeeded(config());
    expect(openFilesFault(needed, config())).toBeNull();
    expect(openFilesFault(null, config())).toBeNull();
    expect(openFilesFault(needed - 1, config())).toMatch(
      new RegExp(`may have ${needed - 1} files .* can need ${needed}; .*ulimit -n ${needed}, LimitNOFILE=${needed} `),
    );
  });

  it('has room for every stream, its model, every stage and other requests', () => {
    const more = config({ MAX_STREAMS: '5000' });
    expect(mostConnections(more)).toBeGreaterThan(5_000);
    expect(openFilesNeeded(more)).toBeGreaterThan(mostConnections(more) + 5_000);
    const stages = config({ PIPELINE_MAX_CONCURRENT: '50' });
    expect(openFilesNeeded(stages) - openFilesNeeded(config())).toBe(45);
    expect(mostConnections(config({ MAX_STREAMS: '1' }))).toBe(2_000);
  });
});
