/** Variables that say where the settings of git's user are, for calls of git that are to see them. */
export type GitUser = Readonly<Record<(typeof NAMES)[number], string | undefined>>;

const NAMES = ['HOME', 'XDG_CONFIG_HOME', 'GIT_CONFIG_GLOBAL', 'GIT_CONFIG_SYSTEM', 'GIT_CONFIG_NOSYSTEM'] as const;

/** The user of git that this process is. */
export function gitUser(): GitUser {
  return Object.fromEntries(NAMES.map((name) => [name, process.env[name]])) as GitUser;
}
