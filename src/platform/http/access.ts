import { SetMetadata } from '@nestjs/common';

/**
 * Who may call an operation.
 * - `open`: anybody.
 * - `key`: an API key or the admin; anybody while auth is off.
 * - `credential`: an API key or the admin, also while auth is off.
 * - `admin`: the admin.
 * - `operator`: the admin, or a caller on this machine.
 */
export type Access = 'open' | 'key' | 'credential' | 'admin' | 'operator';

/** Metadata key of an operation's or a controller's access; an operation's own one wins. */
export const ACCESS = 'nova:access';

type Anywhere = ClassDecorator & MethodDecorator;

/** No credential needed. */
export const Open = (): Anywhere => SetMetadata(ACCESS, 'open' satisfies Access);
/** An API key or the admin credential; anybody while auth is off. */
export const RequiresKey = (): Anywhere => SetMetadata(ACCESS, 'key' satisfies Access);
/** An API key or the admin credential, also while auth is off. */
export const RequiresCredential = (): Anywhere => SetMetadata(ACCESS, 'credential' satisfies Access);
/** The admin credential. */
export const RequiresAdmin = (): Anywhere => SetMetadata(ACCESS, 'admin' satisfies Access);
/** The admin credential, or a caller on this machine. */
export const RequiresOperator = (): Anywhere => SetMetadata(ACCESS, 'operator' satisfies Access);

/** Metadata key of the operations that answer with an event stream. */
export const STREAMS = 'nova:streams';

/** Every answer of this operation is an event stream, of which callers have so many at a time. */
export const Streams = (): MethodDecorator => SetMetadata(STREAMS, true);
