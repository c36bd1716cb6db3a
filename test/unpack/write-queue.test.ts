/** The queue of writes: never more than the depth, each in its turn, a failure frees its place. */
import { describe, expect, it } from 'vitest'
import { MIB } from '../../src/units.ts'
import { makeWriteQueue } from '../../src/unpack/write-queue.ts'

interface Write {
  readonly number: number
  readonly end: () => void
  readonly fail: () => void
}

/** A queue with a clock that stands still unless told, and writes that end when told. */
function makeTest(limits = { least: 1, start: 2, most: 4 }) {
  let nowMs = 0
  const queue = makeWriteQueue(limits, () => nowMs)
  const begun: Write[] = []
  const write = (number: number): Promise<void> =>
    queue(4 * MIB, () => {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      begun.push({ number, end: resolve, fail: () => reject(new Error(`write ${number}`)) })
      return promise
    })
  const wait = (ms: number): void => {
    nowMs += ms
  }
  return { write, begun, wait }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const numbers = (writes: readonly Write[]): number[] => writes.map(({ number }) => number)

describe('the queue of writes', () => {
  it('begins as many as its depth, and the next when one has ended, in order', async () => {
    const { write, begun } = makeTest()
    const all = [0, 1, 2, 3].map(write)
    await turn()
    expect(numbers(begun)).toEqual([0, 1])
    begun[1]?.end()
    await turn()
    expect(numbers(begun)).toEqual([0, 1, 2])
    begun[0]?.end()
    begun[2]?.end()
    await turn()
    expect(numbers(begun)).toEqual([0, 1, 2, 3])
    begun[3]?.end()
    await Promise.all(all)
  })

  it('gives the place of a write that failed to the next', async () => {
    const { write, begun } = makeTest({ least: 1, start: 1, most: 1 })
    const [first, second] = [write(0), write(1)]
    await turn()
    begun[0]?.fail()
    await expect(first).rejects.toThrow('write 0')
    await turn()
    begun[1]?.end()
    await second
    expect(numbers(begun)).toEqual([0, 1])
  })

  it('lets more begin once writes were quick, fewer once the disk stalls', async () => {
    const { write, begun, wait } = makeTest()
    const endAll = async (ms: number): Promise<void> => {
      wait(ms)
      for (const one of begun.splice(0)) one.end()
      await turn()
    }
    const all = Array.from({ length: 120 }, (_, n) => write(n))
    await turn()
    for (let n = 0; n < 12; n += 1) await endAll(5)
    expect(begun).toHaveLength(4)
    for (let n = 0; n < 4; n += 1) await endAll(500)
    expect(begun.length).toBeLessThan(4)
    while (begun.length > 0) await endAll(5)
    await Promise.all(all)
  })
})
