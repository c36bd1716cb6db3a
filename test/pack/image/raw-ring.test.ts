import { describe, expect, it } from 'vitest'
import { RawRing, WINDOW_BYTES } from '../../../src/pack/image/raw-ring.ts'

const one = (window: number) => ({ firstWindow: window, lastWindow: window })

/** Whether a promise is fulfilled by now. */
async function isReady(ready: Promise<void>): Promise<boolean> {
  let is = false
  void ready.then(() => {
    is = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  return is
}

describe('RawRing', () => {
  it('gives windows their slots in turn, and the first ones at once', async () => {
    const ring = new RawRing(3)
    const taken = [ring.take(), ring.take(), ring.take()]
    expect(taken.map(({ window }) => ring.slotOf(window))).toEqual([0, 1, 2])
    for (const { ready } of taken) expect(await isReady(ready)).toBe(true)
  })

  it('lets a window wait until all users of the one before in its slot are through', async () => {
    const ring = new RawRing(2)
    ring.take()
    ring.take()
    ring.retain({ firstWindow: 0, lastWindow: 1 })
    const third = ring.take()
    expect(third.window).toBe(2)
    ring.release(one(0))
    expect(await isReady(third.ready)).toBe(false)
    // Another slot does not help: what follows in the payload follows in memory.
    ring.release({ firstWindow: 1, lastWindow: 1 })
    ring.release({ firstWindow: 1, lastWindow: 1 })
    expect(await isReady(third.ready)).toBe(false)
    ring.release(one(0))
    expect(await isReady(third.ready)).toBe(true)
  })

  it('lets windows of one slot come one after another', async () => {
    const ring = new RawRing(1)
    ring.take()
    const [second, third] = [ring.take(), ring.take()]
    ring.release(one(0))
    expect(await isReady(second.ready)).toBe(true)
    expect(await isReady(third.ready)).toBe(false)
    ring.release(one(1))
    expect(await isReady(third.ready)).toBe(true)
  })

  it('says where a range lies, also from the end of the ring to its start', () => {
    const ring = new RawRing(3)
    expect(ring.place(4, 10, 20)).toEqual({ at: WINDOW_BYTES + 10, ...one(4) })
    expect(ring.place(4, WINDOW_BYTES - 1, 2)).toEqual({
      at: 2 * WINDOW_BYTES - 1,
      firstWindow: 4,
      lastWindow: 5,
    })
    expect(ring.place(4, WINDOW_BYTES + 5, WINDOW_BYTES)).toEqual({
      at: 2 * WINDOW_BYTES + 5,
      firstWindow: 5,
      lastWindow: 6,
    })
    expect(ring.place(0, 0, WINDOW_BYTES)).toEqual({ at: 0, ...one(0) })
  })

  it('refuses to give back what is free', () => {
    const ring = new RawRing(2)
    ring.take()
    ring.release(one(0))
    expect(() => ring.release(one(0))).toThrow(RangeError)
  })
})
