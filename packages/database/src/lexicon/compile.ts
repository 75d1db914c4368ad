/**
 * Lexicons compiled to functions: what a record must be, decided in one walk
 * over its lexicon JSON without making anything of it.
 *
 * The rules are those of the reference's strict mode (`check` of @atproto/lex,
 * which the AppView's indexer uses); validate.test.ts holds the two together.
 */
import { isBlobLink, isLink } from './formats.ts';
import type { Check, Problem } from './problem.ts';
import { literal, problem } from './problem.ts';
import { string } from './string.ts';

// biome-ignore lint/suspicious/noExplicitAny: a lexicon document, of many shapes
type Def = any;
type Json = Record<string, unknown>;

/** A set of lexicon documents, compiled as they are asked for. */
export class Lexicon {
  readonly #defs = new Map<string, Def>();
  readonly #checks = new Map<string, Check>();

  constructor(docs: Iterable<{ id: string; defs: Record<string, Def> }>) {
    for (const { id, defs } of docs) {
      for (const [name, def] of Object.entries(defs)) this.#defs.set(`${id}#${name}`, def);
    }
  }

  /** The check of a record's collection; undefined when no lexicon describes it. */
  record(nsid: string): Check | undefined {
    const id = `${nsid}#main`;
    if (this.#defs.get(id)?.type !== 'record') return undefined;
    return this.#named(id);
  }

  /** The check of a definition by name, `nsid#name`. One that refers to itself is met by its name. */
  #named(id: string): Check {
    const known = this.#checks.get(id);
    if (known) return known;
    let compiled: Check | undefined;
    const check: Check = (value) => {
      compiled ??= this.#definition(id);
      return compiled(value);
    };
    this.#checks.set(id, check);
    return check;
  }

  #definition(id: string): Check {
    const def = this.#defs.get(id);
    if (!def) throw new TypeError(`no lexicon defines ${id}`);
    const [nsid] = id.split('#') as [string];
    const type = typeOf(id);
    if (def.type === 'record') return record(this.#object(def.record, nsid), nsid);
    if (def.type === 'object') return typed(this.#object(def, nsid), type);
    if (def.type === 'token') return literal(type);
    return this.#compile(def, nsid);
  }

  #compile(def: Def, nsid: string): Check {
    switch (def.type) {
      case 'string':
        return string(def);
      case 'integer':
        return integer(def);
      case 'boolean':
        return def.const === undefined ? primitive('boolean') : literal(def.const);
      case 'bytes':
        return bytes(def);
      case 'cid-link':
        return (value) => (linkOf(value) !== null ? null : problem('type', 'a link'));
      case 'blob':
        return blob(def);
      case 'array':
        return array(this.#compile(def.items, nsid), def);
      case 'object':
        return this.#object(def, nsid);
      case 'ref':
        return this.#named(idOf(def.ref, nsid));
      case 'union':
        return this.#union(def, nsid);
      case 'unknown':
        return (value) => (isPlain(value) ? null : problem('type', 'an object'));
      default:
        throw new TypeError(`a lexicon has the type ${def.type}`);
    }
  }

  #object({ properties = {}, required = [], nullable = [] }: Def, nsid: string): Check {
    const fields = Object.keys(properties).map((name) => ({
      name,
      check: this.#compile(properties[name], nsid),
      required: required.includes(name) as boolean,
      nullable: nullable.includes(name) as boolean,
    }));
    return (value) => {
      if (!isPlain(value)) return problem('type', 'an object');
      for (const field of fields) {
        const own = value[field.name];
        if (own === undefined) {
          if (field.required) return { reason: 'missing', path: field.name, wanted: 'a value' };
          continue;
        }
        if (own === null && field.nullable) continue;
        const wrong = field.check(own);
        if (wrong) return within(field.name, wrong);
      }
      return null;
    };
  }

  #union({ refs, closed = false }: Def, nsid: string): Check {
    const members = new Map<unknown, Check>(
      (refs as string[]).map((ref) => {
        const id = idOf(ref, nsid);
        return [typeOf(id), this.#named(id)];
      }),
    );
    return (value) => {
      if (!isPlain(value) || value['$type'] === undefined) return problem('type', 'an object with a $type');
      const member = members.get(value['$type']);
      if (member) return member(value);
      if (closed) return problem('value', 'a $type of the union');
      return typeof value['$type'] === 'string' ? null : problem('type', 'a $type that is a text');
    };
  }
}

function within(step: string | number, { reason, path, wanted }: Problem): Problem {
  return { reason, path: path === '' ? String(step) : `${step}.${path}`, wanted };
}

/** `lex:nsid#name`, `#name` or `nsid` as `nsid#name`. */
function idOf(ref: string, nsid: string): string {
  const plain = ref.replace(/^lex:/, '');
  const [id, name = 'main'] = plain.split('#');
  return `${id || nsid}#${name}`;
}

/** The `$type` that a value of this definition carries. */
function typeOf(id: string): string {
  return id.replace(/#main$/, '');
}

/** The CID of a link as lexicon JSON has it, or null. */
function linkOf(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const { $link } = value as Json;
  if (typeof $link !== 'string') return null;
  for (const key in value) if (key !== '$link') return null;
  return isLink($link) ? $link : null;
}

/** Base64 of bytes as lexicon JSON has them, or null. */
function bytesOf(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const { $bytes } = value as Json;
  if (typeof $bytes !== 'string') return null;
  for (const key in value) if (key !== '$bytes') return null;
  return /^[A-Za-z0-9+/]*={0,2}$/.test($bytes) ? $bytes : null;
}

/** An object that stands for itself: no list, link or bytes. */
function isPlain(value: unknown): value is Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { $link, $bytes } = value as Json;
  if ($link === undefined && $bytes === undefined) return true;
  return linkOf(value) === null && bytesOf(value) === null;
}

function record(object: Check, nsid: string): Check {
  return (value) =>
    object(value) ??
    ((value as Json)['$type'] === nsid ? null : { reason: 'value', path: '$type', wanted: nsid });
}

function typed(object: Check, type: string): Check {
  return (value) => {
    const own = (value as Json | null | undefined)?.['$type'];
    if (own !== undefined && own !== type) return { reason: 'value', path: '$type', wanted: type };
    return object(value);
  };
}

function primitive(type: 'boolean' | 'string'): Check {
  const wrong = problem('type', `a ${type}`);
  return (value) => (typeof value === type ? null : wrong);
}

function integer({ minimum, maximum, enum: values, const: only }: Def): Check {
  if (only !== undefined) return literal(only);
  return (value) => {
    if (!Number.isSafeInteger(value)) return problem('type', 'a whole number');
    const n = value as number;
    if (values && !values.includes(n)) return problem('value', `one of ${values}`);
    if (minimum !== undefined && n < minimum) return problem('range', `${minimum} or more`);
    if (maximum !== undefined && n > maximum) return problem('range', `${maximum} or less`);
    return null;
  };
}

function bytes({ minLength = 0, maxLength = Number.POSITIVE_INFINITY }: Def): Check {
  return (value) => {
    const base64 = bytesOf(value);
    if (base64 === null) return problem('type', 'bytes');
    const length = Math.floor((base64.replace(/=+$/, '').length * 3) / 4);
    return length >= minLength && length <= maxLength
      ? null
      : problem('length', `${minLength} to ${maxLength} bytes`);
  };
}

function array(items: Check, { minLength = 0, maxLength = Number.POSITIVE_INFINITY }: Def): Check {
  return (value) => {
    if (!Array.isArray(value)) return problem('type', 'a list');
    if (value.length < minLength || value.length > maxLength) {
      return problem('length', `${minLength} to ${maxLength} items`);
    }
    for (let i = 0; i < value.length; i++) {
      const wrong = items(value[i]);
      if (wrong) return within(i, wrong);
    }
    return null;
  };
}

const blobKeys = new Set(['$type', 'ref', 'mimeType', 'size']);

function blob({ accept, maxSize }: Def): Check {
  const types = accept as string[] | undefined;
  return (value) => {
    if (!isPlain(value) || value['$type'] !== 'blob') return problem('type', 'a blob');
    const { ref, mimeType, size } = value;
    for (const key in value) if (!blobKeys.has(key)) return problem('blob', 'a blob with nothing more');
    const link = linkOf(ref);
    if (link === null || !isBlobLink(link)) return problem('blob', 'a blob with a link to raw bytes');
    if (typeof mimeType !== 'string' || !mimeType.includes('/')) return problem('blob', 'a MIME type');
    if (!Number.isSafeInteger(size) || (size as number) < 0) return problem('blob', 'a size');
    if (types && !types.some((type) => matchesMime(mimeType, type)))
      return problem('blob', `one of ${types}`);
    if (maxSize !== undefined && (size as number) > maxSize)
      return problem('blob', `at most ${maxSize} bytes`);
    return null;
  };
}

function matchesMime(mime: string, accepted: string): boolean {
  if (accepted === '*/*' || accepted === mime) return true;
  return accepted.endsWith('/*') && mime.startsWith(accepted.slice(0, -1));
}
