/**
 * Lets as many writes through as the disk takes well.
 *
 * 1. A write waits for its turn, first come first served.
 * 2. How long it took, without the wait, goes to write-depth.ts, which says how many may go at a
 *    time.
 * 3. A write that fails gives its place to the next; what it took is not counted.
 */
import { type DepthLimits, WriteDepth } from './write-depth.ts'

/** Calls `write` when it is its turn; `bytes` is what it will write. */
export type WriteQueue = (bytes: number, write: () => Promise<void>) => Promise<void>

export function makeWriteQueue(
  limits: DepthLimits,
  nowMs: () => number = () => performance.now(),
): WriteQueue {
  const control = new WriteDepth(limits)
  const waiting: (() => void)[] = []
  let inFlight = 0
  const admit = (): void => {
    while (inFlight < control.depth) {
      const next = waiting.shift()
      if (next === undefined) return
      inFlight += 1
      next()
    }
  }
  return async (bytes, write) => {
    await new Promise<void>((resolve) => {
      waiting.push(resolve)
      admit()
    })
    try {
      const startMs = nowMs()
      await write()
      control.ended(nowMs() - startMs, bytes)
    } finally {
      inFlight -= 1
      admit()
    }
  }
}
