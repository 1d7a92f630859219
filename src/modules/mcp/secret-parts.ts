/** Names of options, variables, headers, properties and query parameters whose values are secret. */
export const SECRET_NAME = /token|secret|passw|pwd|api.?key|keys?$|auth(?!or(?!iz))|credential|cookie|signature|^sig$/i;
const OPTION = /^--?[\w.-]+$/;

// Every repetition is bounded or of one character class, so that no text makes a pattern slow.
/** `NAME=value`, `--name=value`, `Name: value`. */
const NAMED = /^(-{0,2})([\w.-]+)(=|:[ \t]*(?!\/\/))(.+)$/s;
const QUERY = /([?&;])([^?&;=#\s"']+)(=)([^?&;#\s"']+)/g;
const PROPERTY = /(")([^"\\]{1,200})("\s{0,4}:\s{0,4}")((?:[^"\\]|\\.)+)/g;
const PASSWORD = /([a-z][a-z0-9+.-]{0,20}:\/\/[^\s"'<>@/:]{0,512}:)([^\s"'<>@]{1,512})(?=@)/gi;

type Replace = (secret: string) => string;

/** `args` with what is secret by its name replaced: in each of them, and the argument after an option. */
export function replaceInArgs(args: readonly string[], replace: Replace): string[] {
  return args.map((arg, index) => {
    const option = args[index - 1] ?? '';
    const isValue = OPTION.test(option) && SECRET_NAME.test(option) && arg !== '' && !arg.startsWith('--');
    return isValue ? replace(arg) : replaceInText(arg, replace);
  });
}

/** `text`, an argument or a URL, with what is secret by its name, and passwords of URLs, replaced. */
export function replaceInText(text: string, replace: Replace): string {
  const named = (all: string, before: string, name: string, between: string, secret: string): string =>
    SECRET_NAME.test(decoded(name)) ? before + name + between + replace(secret) : all;
  const whole = text.replace(NAMED, named);
  if (whole !== text) return whole;
  return text
    .replace(QUERY, named)
    .replace(PROPERTY, named)
    .replace(PASSWORD, (_, before: string, password: string) => before + replace(password));
}

/** What is secret in `args` and in `url`, also as it is once a URL's escapes are resolved. */
export function secretParts(args: readonly string[], url: string | null): string[] {
  const found: string[] = [];
  const note: Replace = (secret) => {
    found.push(secret, decoded(secret));
    return '';
  };
  replaceInArgs(args, note);
  if (url !== null) replaceInText(url, note);
  return found;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
