/** What went wrong, to what, and what to do: shown to the operator as it is. */
export class CommandError extends Error {
  override name = 'CommandError';
}
