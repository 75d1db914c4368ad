const MAX_NSID = 317;
const MAX_RKEY = 512;
/** Bytes of a key of the tree. */
export const MAX_KEY_BYTES = 1024;
const SLASH = 0x2f;
const DOT = 0x2e;
const NSID =
  /^[a-zA-Z](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)+\.[a-zA-Z][a-zA-Z0-9]{0,62}$/;

const RKEY_BYTES = new Uint8Array(256);
for (const byte of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:~-')) {
  RKEY_BYTES[byte] = 1;
}

/** Whether a text is an NSID (specification: up to 317 characters, three segments at least). */
export function isNsid(text: string): boolean {
  return text.length <= MAX_NSID && NSID.test(text);
}

/** Whether the range holds a record key: 1 to 512 of its characters, neither `.` nor `..`. */
export function isRecordKey(bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (length < 1 || length > MAX_RKEY) return false;
  for (let i = start; i < end; i++) if (RKEY_BYTES[bytes[i]!] === 0) return false;
  return length > 2 || bytes[start] !== DOT || bytes[end - 1] !== DOT;
}

/** Where the slash of a key of `length` bytes stands, −1 where there is none. */
export function slashOf(key: Uint8Array, length: number): number {
  for (let i = 0; i < length; i++) if (key[i] === SLASH) return i;
  return -1;
}

/** The two parts of a path `collection/rkey`, undefined where it has not that form. */
export function splitPath(path: string): { collection: string; rkey: string } | undefined {
  const bytes = Buffer.from(path, 'utf8');
  if (bytes.length > MAX_KEY_BYTES) return undefined;
  const slash = slashOf(bytes, bytes.length);
  if (slash < 0 || !isRecordKey(bytes, slash + 1, bytes.length)) return undefined;
  const collection = path.slice(0, slash);
  return isNsid(collection) ? { collection, rkey: path.slice(slash + 1) } : undefined;
}
