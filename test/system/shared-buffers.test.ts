/** Slots in shared memory, and their turns. */
import { describe, expect, it } from 'vitest'
import { makeSlots, SlotQueue, slotView } from '../../src/system/shared-buffers.ts'

describe('slots', () => {
  it('have whole pages, one after another, and share no byte', () => {
    const slots = makeSlots(3, 5_000)
    expect(slots.slotBytes).toBe(8_192)
    for (const slot of [0, 1, 2]) slotView(slots, slot).fill(slot + 1)
    for (const slot of [0, 1, 2]) {
      const view = slotView(slots, slot)
      expect(view.byteOffset % 4_096).toBe(0)
      expect(view.every((byte) => byte === slot + 1)).toBe(true)
    }
    expect(slotView(slots, 1, 10)).toHaveLength(10)
  })

  it('end where they end', () => {
    const slots = makeSlots(2, 4_096)
    expect(() => slotView(slots, 2)).toThrow(RangeError)
    expect(() => slotView(slots, -1)).toThrow(RangeError)
    expect(() => slotView(slots, 0, 4_097)).toThrow(RangeError)
  })

  it('have memory even when there are none', () => {
    expect(makeSlots(0, 4_096).count).toBe(0)
  })
})

describe('a slot queue', () => {
  it('gives each slot to one holder, in the order of asking', async () => {
    const queue = new SlotQueue(2)
    const held = [await queue.acquire(), await queue.acquire()]
    expect(held.toSorted()).toEqual([0, 1])
    const order: string[] = []
    const third = queue.acquire().then((slot) => order.push(`third ${slot}`))
    const fourth = queue.acquire().then((slot) => order.push(`fourth ${slot}`))
    queue.release(1)
    queue.release(0)
    await Promise.all([third, fourth])
    expect(order).toEqual(['third 1', 'fourth 0'])
  })
})
