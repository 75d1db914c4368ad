/** What is wrong, and where: `path` grows from the inside out. */
export interface Problem {
  reason: 'missing' | 'type' | 'length' | 'range' | 'format' | 'value' | 'blob';
  path: string;
  wanted: string;
}

/** @returns null when the value is right */
export type Check = (value: unknown) => Problem | null;

export function problem(reason: Problem['reason'], wanted: string): Problem {
  return { reason, path: '', wanted };
}

export function literal(wanted: unknown): Check {
  const wrong = problem('value', JSON.stringify(wanted));
  return (value) => (value === wanted ? null : wrong);
}
