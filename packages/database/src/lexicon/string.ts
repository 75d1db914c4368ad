import { type FormatCheck, formats } from './formats.ts';
import { type Check, literal, type Problem, problem } from './problem.ts';

// biome-ignore lint/suspicious/noExplicitAny: a definition of a lexicon document
type Def = any;

/** A text: its format, its lengths, the values allowed. */
export function string(def: Def): Check {
  if (def.const !== undefined) return literal(def.const);
  const { enum: values, format } = def;
  if (values) return (value) => (values.includes(value) ? null : problem('value', `one of ${values}`));
  const hasFormat: FormatCheck | undefined = format && formats[format];
  if (format && !hasFormat) throw new TypeError(`a lexicon has the format ${format}`);
  const length = lengthCheck(def);
  const wrongFormat = problem('format', `of the format ${format}`);
  return (value) => {
    if (typeof value !== 'string') return problem('type', 'a text');
    return length?.(value) ?? (hasFormat && !hasFormat(value) ? wrongFormat : null);
  };
}

const segmenter = new Intl.Segmenter();

/** Lengths in UTF-8 bytes and graphemes, counted only where a text could be beyond them. */
function lengthCheck({ minLength = 0, maxLength, minGraphemes = 0, maxGraphemes }: Def) {
  if (minLength + minGraphemes === 0 && maxLength === undefined && maxGraphemes === undefined) {
    return undefined;
  }
  return (text: string): Problem | null => {
    if (minLength > 0 && Buffer.byteLength(text) < minLength) return problem('length', `${minLength} bytes`);
    if (maxLength !== undefined && text.length * 3 > maxLength && Buffer.byteLength(text) > maxLength) {
      return problem('length', `at most ${maxLength} bytes`);
    }
    if (minGraphemes > 0 && (text.length < minGraphemes || graphemes(text) < minGraphemes)) {
      return problem('length', `${minGraphemes} graphemes`);
    }
    if (maxGraphemes !== undefined && text.length > maxGraphemes && graphemes(text) > maxGraphemes) {
      return problem('length', `at most ${maxGraphemes} graphemes`);
    }
    return null;
  };
}

function graphemes(text: string): number {
  let count = 0;
  for (const _ of segmenter.segment(text)) count++;
  return count;
}
