import { describe, expect, it } from 'vitest'
import { inOrder } from '../../../src/pack/image/in-order.ts'

async function* numbers(count: number): AsyncGenerator<number> {
  for (let n = 0; n < count; n += 1) yield n
}

/** Work that ends in reverse, as far as it may. */
async function backwards(n: number): Promise<number> {
  for (let turn = 0; turn < 20 - (n % 7); turn += 1) await Promise.resolve()
  return n
}

describe('inOrder', () => {
  it.each([1, 2, 5, 100])('gives results in the order of the items, %i ahead', async (ahead) => {
    const results: number[] = []
    for await (const n of inOrder({ items: numbers(30), ahead, work: backwards })) results.push(n)
    expect(results).toEqual(Array.from({ length: 30 }, (_, n) => n))
  })

  it('has no more under way than allowed, and no slot twice', async () => {
    const ahead = 3
    const busy = new Set<number>()
    let most = 0
    const work = async (n: number, slot: number): Promise<number> => {
      expect(busy.has(slot)).toBe(false)
      busy.add(slot)
      most = Math.max(most, busy.size)
      await backwards(n)
      return slot
    }
    for await (const slot of inOrder({ items: numbers(40), ahead, work })) {
      // In use by the consumer until it asks for the next one.
      await backwards(0)
      busy.delete(slot)
    }
    expect(most).toBe(ahead + 1)
  })

  it('fails with the first failure in order, also when a later one came before', async () => {
    const work = async (n: number): Promise<number> => {
      if (n === 9) throw new Error('late item, early failure')
      await backwards(n)
      if (n === 5) throw new Error('item 5')
      return n
    }
    const seen: number[] = []
    const all = async (): Promise<void> => {
      for await (const n of inOrder({ items: numbers(30), ahead: 8, work })) seen.push(n)
    }
    await expect(all()).rejects.toThrow('item 5')
    expect(seen).toEqual([0, 1, 2, 3, 4])
  })
})
