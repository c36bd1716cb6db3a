/** The worker of worker-pool.test.ts: adds, refuses, throws, dies, or never ends. */
import { parentPort } from 'node:worker_threads'
import { OsflashError } from '../../src/errors.ts'
import { answerJobs } from '../../src/system/worker-pool.ts'

answerJobs(
  parentPort,
  ({ base, gate }: { base: number; gate: SharedArrayBuffer }) =>
    ([job = 0, a = 0, b = 0]) => {
      if (job === 0) return [base + a + b]
      if (job === 1) {
        const details = { data: { block: a }, hints: ['fetch it again'] }
        throw new OsflashError('digest', `reading block ${a}: wrong`, details)
      }
      if (job === 2) throw new TypeError('odd')
      if (job === 3) process.exit(3)
      if (job === 5) {
        Atomics.wait(new Int32Array(gate), 0, 0)
        return [a]
      }
      for (;;);
    },
)
