import { defineConfig } from 'vitest/config';

/** Tests that take minutes: `pnpm test:long`. One file at a time, each with the machine to itself. */
export default defineConfig({
  test: {
    include: ['{packages,services,test}/**/*.long.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
