import { readdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { giveOrder } from '../../src/flash/orders.ts'
import { STORE } from '../../src/flash/places.ts'
import type { State } from '../../src/flash/states.ts'
import { hostFixture, isRoot, scratchFolder } from './host-fixture.ts'

test.each(['go', 'hold'] as const)('%s outside of a rescue is refused', async (order) => {
  await expect(giveOrder(order, await scratchFolder())).rejects.toMatchObject({
    code: 'refused',
    message: `giving the order ${order}: this is not the rescue`,
  })
})

describe.skipIf(!isRoot)('orders in the rescue (as root)', () => {
  const orders = (path: string): Promise<string[]> =>
    readdir(path).then((names) => names.filter((name) => name === 'go' || name === 'hold'))

  test('each takes back the other', async () => {
    const { root, inStore } = await hostFixture({ system: 'rescue', state: 'rehearsal' })
    expect(await giveOrder('hold', root)).toBe('rehearsal')
    expect(await inStore(orders)).toEqual([STORE.hold])
    await giveOrder('go', root)
    expect(await inStore(orders)).toEqual([STORE.go])
    await giveOrder('hold', root)
    expect(await inStore(orders)).toEqual([STORE.hold])
  })

  test.each(['committed', 'held', 'aborted', 'trial'] as const)(
    'GO is refused in state %s: it would start the next run',
    async (state: State) => {
      const { root, inStore } = await hostFixture({ system: 'rescue', state })
      await expect(giveOrder('go', root)).rejects.toMatchObject({ code: 'refused' })
      expect(await inStore(orders)).toEqual([])
    },
  )

  test('HOLD can be given while the disk is written', async () => {
    const { root, inStore } = await hostFixture({ system: 'rescue', state: 'flashing' })
    expect(await giveOrder('hold', root)).toBe('flashing')
    expect(await inStore(orders)).toEqual([STORE.hold])
  })
})
