import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{packages,services,test,scripts,deploy}/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // Real servers share the machine with the tests: more at once only makes them wait for each other.
    maxWorkers: 2,
    // Many tests kill processes against the clock of a shared machine: CI gives a failed one a second and third go.
    retry: process.env.CI ? 2 : 0,
    reporters: ['default', './test/support/second-go/reporter.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
