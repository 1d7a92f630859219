export { decodeCursor, encodeCursor, pageOf, type Cursor, type Page, type PageRequest } from './paging.js';
export { isUuid } from './uuid.js';
