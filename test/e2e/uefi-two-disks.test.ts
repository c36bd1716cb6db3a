import { expect, test } from 'vitest'
import { expectReplaced } from './replaced.ts'
import { beginWith, bootFirstOs, LIMIT, takeOver, timeTable } from './takeover.ts'

/** Names of the boot entries, in the order in which the firmware tries them. */
function bootOrder(printed: string): readonly string[] {
  const order = /^BootOrder: (.*)$/m.exec(printed)?.[1]?.split(',') ?? []
  return order.map((number) => {
    const line = printed.split('\n').find((text) => text.startsWith(`Boot${number}`)) ?? ''
    return line.replace(/^Boot....\*? /, '').replace(/\t.*$/, '')
  })
}

test('Debian 12 becomes Debian 13 under OVMF, at the same address', async () => {
  await using began = await beginWith({ name: 'uefi-two-disks', firmware: 'uefi' })
  await bootFirstOs(began)
  const { host, images } = began
  const takeover = await takeOver(began)
  console.log(`uefi-two-disks\n${timeTable(takeover.times)}`)
  const entries = bootOrder(takeover.before.bootEntries)
  expect(entries.join()).not.toContain('osflash')
  expect(takeover.during.bootEntries).toContain('osflash rescue')
  expect(bootOrder(takeover.after.bootEntries).slice(0, 2)).toEqual([
    'osflash target',
    'osflash rescue',
  ])
  await expectReplaced({ host, takeover, images })
  await host.powerOn()
  await host.waitFor('target', { seconds: LIMIT.boot })
})
