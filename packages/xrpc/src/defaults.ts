/** Options over their defaults; one given as `undefined` counts as not given. */
export function withDefaults<D extends object, O extends object>(defaults: D, options: O): O & D {
  const full = { ...defaults, ...options } as Record<string, unknown>;
  for (const [name, value] of Object.entries(defaults)) full[name] ??= value;
  return full as O & D;
}
