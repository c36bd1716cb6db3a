import { expect, test } from 'vitest'
import { run } from '../../src/system/run.ts'
import { GIB } from '../../src/units.ts'
import { armedHost } from './armed.ts'
import { blankDisk } from './first-os.ts'
import { SERIAL } from './host.ts'
import { waitForState } from './operator.ts'
import { LIMIT } from './takeover.ts'
import { digestOfDisk } from './untouched.ts'

test('disks have other names in the rescue, and a third one is left alone', async () => {
  await using host = await armedHost('disk-names-swap', { firmware: 'bios' })
  const third = `${host.folder}/disk3.img`
  await blankDisk(third, GIB)
  await run(['mkfs.ext4', '-q', '-L', 'decoy', '-d', import.meta.dirname, third])
  const before = await digestOfDisk(third)
  const [disk, stage] = host.disks
  if (!disk || !stage) throw new Error('two disks')
  // The firmware's order stays: only the kernel finds them the other way round.
  host.disks = [{ path: third, serial: SERIAL.other, bootIndex: 3 }, stage, disk]
  await host.powerOn()
  await host.waitFor('rescue', { seconds: LIMIT.away })
  expect(await host.ssh('lsblk -dno NAME,SERIAL')).toMatch(
    /vda.*OTHER-3\nvdb.*STAGE-2\nvdc.*DISK-1/s,
  )
  await host.waitFor('target', { seconds: LIMIT.flash })
  await waitForState(host, ['confirmed'], LIMIT.confirm)
  expect((await host.ssh('lsblk -no PKNAME "$(findmnt -no SOURCE /)"')).trim()).toBe('vdc')
  await host.powerOff()
  expect(await digestOfDisk(third)).toBe(before)
})
