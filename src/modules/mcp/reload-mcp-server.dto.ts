import { MayBeOmitted } from '../../platform/http/index.js';
import { TextMap } from './limits.js';

/** What to accept when an MCP server is connected anew. */
export class ReloadMcpServerDto {
  /** Changed tools to accept, by name, each with the hash of its present definition. Left out, none is. */
  @MayBeOmitted()
  @TextMap({ maxItems: 512, maxLength: 64, names: /^[\x21-\x7e]{1,128}$/, values: /^[0-9a-f]{64}$/ })
  accept?: Record<string, string>;
}
