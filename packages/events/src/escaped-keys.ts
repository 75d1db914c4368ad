const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const COLON = 0x3a;
const SPACE = 0x20;

/**
 * As JSON.parse, which Node 24 can't be left alone with: of an object's key that is written with an escape it may make
 * an earlier object's key that holds a backslash (nodejs/node#63785). Such keys stand in no lexicon, but in records
 * they may stand; texts that have one are read here, several times slower.
 *
 * @throws SyntaxError as JSON.parse
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return hasEscapedKey(text) ? new Reading(text).value() : value;
}

/** Whether a key of valid JSON is written with an escape. Only strings that have one are looked at. */
function hasEscapedKey(text: string): boolean {
  for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', at)) {
    at = endOfString(text, at) + 1;
    while (text.charCodeAt(at) <= SPACE) at += 1;
    if (text.charCodeAt(at) === COLON) return true;
  }
  return false;
}

/** Where the quote is that ends a string; `at` is in the string, not within an escape. */
function endOfString(text: string, at: number): number {
  for (let end = at; ; end++) {
    const char = text.charCodeAt(end);
    if (char === QUOTE) return end;
    if (char === BACKSLASH) end += 1;
  }
}

/** One pass over a text that is known to be JSON. JSON.parse reads its strings and numbers, never its objects. */
class Reading {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): unknown {
    switch (this.#next()) {
      case '{':
        return this.#object();
      case '[':
        return this.#list();
      case '"':
        return this.#string();
      default:
        return this.#word();
    }
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#at += 1;
    while (this.#next() !== '}') {
      if (this.#next() === ',') this.#at += 1;
      this.#next();
      const key = this.#string();
      this.#next();
      this.#at += 1;
      // As JSON.parse: `__proto__` is a key like any other.
      const value = this.value();
      Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
    }
    this.#at += 1;
    return object;
  }

  #list(): unknown[] {
    const list: unknown[] = [];
    this.#at += 1;
    while (this.#next() !== ']') {
      if (this.#next() === ',') this.#at += 1;
      list.push(this.value());
    }
    this.#at += 1;
    return list;
  }

  #string(): string {
    const start = this.#at;
    this.#at = endOfString(this.#text, start + 1) + 1;
    return JSON.parse(this.#text.slice(start, this.#at)) as string;
  }

  /** A number, true, false or null. */
  #word(): unknown {
    const start = this.#at;
    while (this.#at < this.#text.length && !/[\s,\]}]/.test(this.#text[this.#at]!)) this.#at += 1;
    return JSON.parse(this.#text.slice(start, this.#at));
  }

  /** The next character that is no white space. */
  #next(): string | undefined {
    while (this.#text.charCodeAt(this.#at) <= SPACE) this.#at += 1;
    return this.#text[this.#at];
  }
}
