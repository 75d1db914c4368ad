import { inject } from 'vitest';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Address of the run's control server: it starts what all test files share, when the first one asks. */
    control: string;
  }
}

/** Asks the run's control server for `path`; its answer is JSON. */
export async function control<T>(path: string): Promise<T> {
  const response = await fetch(new URL(path, inject('control')));
  if (!response.ok) throw new Error(`test control ${path}: ${await response.text()}`);
  return (await response.json()) as T;
}
