export {
  ACCESS,
  STREAMS,
  Streams,
  Open,
  RequiresAdmin,
  RequiresCredential,
  RequiresKey,
  RequiresOperator,
  type Access,
} from './access.js';
export { Attaches, sendAttachment, type Attachment } from './attachment.js';
export { BooleanQuery } from './boolean-query.js';
export { BodyLimit } from './body-limit.js';
export { clientAddress, isLocalCaller, networkOf } from './client-address.js';
export { showsCredential } from './drive-by.js';
export { EventStream, keepStreamsWhile, openEventStream } from './event-stream.js';
export { parseLastEventId } from './last-event-id.js';
export { MaxCharacters, MaxJsonBytes, TextList, WholeNumber } from './limits.js';
export { MayBeOmitted } from './may-be-omitted.js';
export { IsMoment, parseMoment } from './moment.js';
export { Sends } from './openapi-headers.js';
export { PageQueryDto } from './page-query.dto.js';
export { linkAfterName, namePage } from './name-paging.js';
export { cutForList, linkNext, linkTo, pageRequest } from './paging.js';
export { PatchOf, type PatchFields } from './patch-of.js';
export { Problems } from './problems.js';
export { IgnoresReadOnly } from './read-only-fields.js';
export { UuidParam } from './uuid-param.js';
