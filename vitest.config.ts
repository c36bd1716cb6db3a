import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

const SLOW = ['referees', 'boot', 'e2e']
const APART = [...SLOW, 'integration', 'architecture', 'cli-scripts']
const MINUTE_MS = 60_000

/** A project that is one folder of `test/`. */
function folder(name: string, timeoutMs: number) {
  const include = [`test/${name}/**/*.test.ts`]
  // QEMU's translator now and then breaks a guest's kernel; another try tells it from our faults.
  const retry = name === 'e2e' && process.env.CI === 'true' ? 1 : 0
  const setupFiles = name === 'e2e' ? ['test/e2e/tries.ts'] : []
  const timeouts = { testTimeout: timeoutMs, hookTimeout: timeoutMs }
  // Only what a project says counts for it: the option of the command line does not.
  const maxConcurrency = Number(process.env.OSFLASH_MACHINES ?? 1)
  return { test: { name, include, retry, setupFiles, maxConcurrency, ...timeouts } }
}

const integration = 'test/**/*.integration.test.ts'

export default defineConfig({
  test: {
    // Native add-ons and worker threads are started by the tests: processes keep them apart.
    pool: 'forks',
    maxWorkers: Math.max(1, Math.min(2, availableParallelism())),
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...APART.map((name) => `test/${name}/**`), integration],
          testTimeout: MINUTE_MS / 2,
          hookTimeout: MINUTE_MS / 2,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', integration],
          exclude: SLOW.map((name) => `test/${name}/**`),
          testTimeout: 4 * MINUTE_MS,
          hookTimeout: 4 * MINUTE_MS,
        },
      },
      {
        // `npm run bench:kernel`; a part of no test run.
        test: {
          name: 'kernel',
          include: [],
          benchmark: { include: ['bench/kernel/*.bench.ts'] },
          testTimeout: 2 * MINUTE_MS,
        },
      },
      folder('architecture', MINUTE_MS),
      folder('cli-scripts', 2 * MINUTE_MS),
      ...SLOW.map((name) => folder(name, 30 * MINUTE_MS)),
    ],
  },
})
