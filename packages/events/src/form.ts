const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/** Records with more texts are read as a whole. */
const maxTexts = 6;
const plainName = /^[a-zA-Z$]+$/;

/**
 * What records of one collection mostly have alike: their JSON but for the texts in it. A like is such a record, a post
 * with its list of languages is none. Records of one form are told apart from others by comparing bytes, and need not be
 * parsed: what differs stands where `texts` says.
 */
export class Form {
  /** The JSON of such a record whose texts are empty: what it is known by. */
  readonly text: string;
  readonly #between: readonly Buffer[];

  private constructor(between: readonly string[]) {
    this.text = between.join('');
    this.#between = between.map((text) => Buffer.from(text));
  }

  /** The form of a record; undefined where it holds anything but texts, and objects of those. */
  static of(record: Record<string, unknown>): Form | undefined {
    const between = [''];
    return walk(record, between) && between.length <= maxTexts + 1 ? new Form(between) : undefined;
  }

  /** How many texts there are. */
  get count(): number {
    return this.#between.length - 1;
  }

  /**
   * Whether the record that stands there is of this form; and puts where each of its texts begins and ends into `texts`.
   * One with a text that is not of printable ASCII alone, or has an escape, is none.
   *
   * @param from where in `texts` there is room for twice `count` numbers
   */
  read(bytes: Buffer, start: number, end: number, texts: Int32Array, from: number): boolean {
    const between = this.#between;
    const first = between[0]!;
    if (!standsAt(bytes, first, start)) return false;
    let at = start + first.length;
    for (let i = 1, o = from; i < between.length; i++) {
      const textEnd = endOfText(bytes, at, end);
      const next = between[i]!;
      if (!standsAt(bytes, next, textEnd)) return false;
      texts[o++] = at;
      texts[o++] = textEnd;
      at = textEnd + next.length;
    }
    return at === end;
  }
}

/** Adds what is before, between and after an object's texts. @returns false where it holds anything else */
function walk(object: object, between: string[]): boolean {
  let before = '{';
  for (const [name, value] of Object.entries(object)) {
    if (!plainName.test(name)) return false;
    add(between, `${before}"${name}":`);
    before = ',';
    if (typeof value === 'string') {
      if (name === '$type') {
        add(between, JSON.stringify(value));
        continue;
      }
      add(between, '"');
      between.push('"');
    } else if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    else if (!walk(value, between)) return false;
  }
  add(between, before === '{' ? '{}' : '}');
  return true;
}

function add(between: string[], text: string): void {
  between[between.length - 1] += text;
}

/** Compared one by one: what is between two texts is short, and a call would cost more. */
export function standsAt(bytes: Buffer, what: Buffer, at: number): boolean {
  if (at + what.length > bytes.length) return false;
  for (let i = 0; i < what.length; i++) if (bytes[at + i] !== what[i]) return false;
  return true;
}

/** Where the quote is that ends a text; `end` if it is not of printable ASCII alone, without an escape. */
export function endOfText(bytes: Buffer, at: number, end: number): number {
  for (; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH || byte < SPACE || byte >= 0x80) return end;
  }
  return end;
}
