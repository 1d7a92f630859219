/** Who a command is inside its box. */
export interface BoxUser {
  uid: number;
  gid: number;
}

/**
 * Who commands are where they cannot be the owner of their root, and who work trees belong to when the service is root: a
 * user that nothing else is, not even what else runs as `nobody`.
 */
export const BOX_USER: BoxUser = { uid: 65533, gid: 65533 };
