import { expect, test } from 'vitest'
import { expectCleanedUp, expectOwnBootChain, expectReplaced } from './replaced.ts'
import { beginWith, bootFirstOs, takeOver, timeTable } from './takeover.ts'

test('Debian 12 becomes Debian 13 under SeaBIOS, at the same address', async () => {
  await using began = await beginWith({ name: 'bios-two-disks', firmware: 'bios' })
  await bootFirstOs(began)
  const { host, images } = began
  const takeover = await takeOver(began)
  console.log(`bios-two-disks\n${timeTable(takeover.times)}`)
  await expectOwnBootChain(host)
  expect(takeover.before.release).toBe('debian 12')
  await expectReplaced({ host, takeover, images })
  await expectCleanedUp(host)
})
