import { Injectable } from '@nestjs/common';
import { AppConfig } from '../../../config/index.js';
import { freeSpace, isShort, type FreeSpace } from '../../../platform/free-space/index.js';
import { PathRefusedError } from '../boundary/path-refused.js';
import { parsePath, refuseGit } from '../boundary/relative-path.js';
import { serviceFolders } from '../sandbox/service-folders.js';
import type { ToolContext } from '../tool.js';

/** A path of a model, as the folder it starts from and the components below it. */
export interface Place {
  root: string;
  /** Below `root`; the last one is the file's or folder's name. */
  segments: string[];
}

const SERVICE_ALIAS = '/nova/';

/** Where the paths of a call lead: what the tier's commands would see there. */
@Injectable()
export class Places {
  protected readonly space: FreeSpace = freeSpace;

  constructor(private readonly config: AppConfig) {}

  /** @throws PathRefusedError when the tier does not reach `path`. */
  toRead(path: string, context: ToolContext): Place {
    if (context.tier === 'host') return this.onHost(path, context);
    if (context.tier === 'nova' && `${path}/`.startsWith(SERVICE_ALIAS)) return ofService(path);
    const segments = parsePath(path);
    if (context.shows !== undefined && segments.length > 0 && !context.shows(segments.join('/'))) {
      throw new PathRefusedError(`"${path}" does not exist, or the repository ignores it.`);
    }
    return { root: context.root, segments };
  }

  /** As `toRead`, for a file that is to be written: also refused while the disk is nearly full. */
  toWrite(path: string, context: ToolContext): Place {
    if (context.tier === 'nova' && `${path}/`.startsWith(SERVICE_ALIAS)) {
      throw new PathRefusedError(`"${path}" is part of the service and read-only.`);
    }
    const place = this.toRead(path, context);
    refuseGit(place.segments);
    const free = this.space(place.root);
    if (free !== null && isShort(free, this.config.disk.minFree)) {
      throw new PathRefusedError('The disk of the service is nearly full; remove what is not needed.');
    }
    return place;
  }

  private onHost(path: string, context: ToolContext): Place {
    if (this.config.sandbox !== 'host') {
      throw new PathRefusedError('The sandbox tier "host" is not allowed here: the service was not started with it.');
    }
    const inside = !path.startsWith('/') || path === '/workspace' || path.startsWith('/workspace/');
    return inside
      ? { root: context.root, segments: parsePath(path) }
      : { root: '/', segments: parsePath(path.replace(/^\/+/, '')) };
  }
}

function ofService(path: string): Place {
  const [name, ...segments] = parsePath(path.slice(SERVICE_ALIAS.length));
  const folders = serviceFolders();
  const folder = folders.find((each) => each.name === name);
  if (folder === undefined) {
    throw new PathRefusedError(`Of the service there is ${folders.map((each) => `/nova/${each.name}`).join(', ')}.`);
  }
  return { root: folder.path, segments };
}
