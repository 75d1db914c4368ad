/** A deliberate bug: one edit in one file, and the tests that must notice it. */
export interface Mutant {
  /** `area/what-is-broken`. */
  name: string;
  /** What it breaks: a row of what went wrong elsewhere, or one of the fifteen behaviours. */
  breaks: string;
  /** Number of the behaviour in docs/invariants.md. */
  behaviour?: number;
  file: string;
  /** Text that stands in the file exactly once. */
  from: string;
  to: string;
  /** Test files; the quickest that should notice. */
  tests: readonly string[];
}

/** The file's text with the bug in it. @throws EditError when the edit does not apply to exactly one place */
export function mutate(text: string, { name, file, from, to }: Mutant): string {
  const places = text.split(from).length - 1;
  if (places !== 1) throw new EditError(name, `the edit applies to ${places} places of ${file}`);
  if (from === to) throw new EditError(name, 'the edit changes nothing');
  return text.replace(from, () => to);
}

/** The catalogue does not fit the code any more. */
export class EditError extends Error {
  override name = 'EditError';
  mutant: string;
  constructor(mutant: string, why: string) {
    super(`${mutant}: ${why}`);
    this.mutant = mutant;
  }
}
