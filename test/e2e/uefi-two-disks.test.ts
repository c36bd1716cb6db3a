import { expect, test } from 'vitest'
import { expectCleanedUp, expectReplaced } from './replaced.ts'
import { beginWith, bootFirstOs, takeOver, timeTable } from './takeover.ts'

test('Debian 12 becomes Debian 13 under OVMF, at the same address', async () => {
  await using began = await beginWith({ name: 'uefi-two-disks', firmware: 'uefi' })
  await bootFirstOs(began)
  const { host, images } = began
  const takeover = await takeOver(began)
  console.log(`uefi-two-disks\n${timeTable(takeover.times)}`)
  const { before, during, after } = takeover
  expect(before.bootEntries.filter((name) => name.startsWith('osflash'))).toEqual([])
  expect(during.bootEntries).toContain('osflash rescue')
  expect(after.bootEntries.slice(0, 2)).toEqual(['osflash target', 'osflash rescue'])
  await expectReplaced({ host, takeover, images })
  await expectCleanedUp(host)
})
