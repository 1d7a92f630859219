export {
  decodeCursor,
  encodeCursor,
  LONGEST_LISTED_TEXT,
  pageOf,
  type Cursor,
  type Page,
  type PageRequest,
} from './paging.js';
export { isUuid } from './uuid.js';
