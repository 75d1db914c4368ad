const HANDLE = /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Names that never resolve on the public network; `.test` is for development. */
const NEVER = new Set(['alt', 'arpa', 'example', 'internal', 'invalid', 'local', 'localhost', 'onion']);

/** Whether a text is a handle by the AT Protocol's syntax, in lower case, that could resolve. */
export function isHandle(text: string): boolean {
  return text.length <= 253 && HANDLE.test(text) && !NEVER.has(text.slice(text.lastIndexOf('.') + 1));
}
