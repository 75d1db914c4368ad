import { defineConfig } from 'vitest/config';

/** For reporter.test.ts alone. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['flaky.fixture.ts'],
    retry: 2,
    reporters: ['default', './reporter.ts'],
  },
});
