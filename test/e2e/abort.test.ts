import { expect, test } from 'vitest'
import { armedHost, armHost } from './armed.ts'
import { DECOYS } from './first-os.ts'
import { commandLine, osflash, PROGRAM, status, waitForState } from './operator.ts'
import { expectBlankStage } from './replaced.ts'
import { beginWith, bootFirstOs, LIMIT } from './takeover.ts'
import { bootConfiguration, digestOutsideRoot } from './untouched.ts'

test.concurrent.for(['bios', 'uefi'] as const)(
  'abort under %s: the boot configuration is what it was, and the first OS starts',
  async (firmware) => {
    await using began = await beginWith({ name: `abort-${firmware}`, firmware })
    await bootFirstOs(began)
    const { host, images } = began
    const configuration = await bootConfiguration(host)
    const disk = await digestOutsideRoot(host.diskPath)
    const plan = await host.ssh(commandLine('plan', images, { json: '' }))
    await armHost(began)
    expect(await status(host)).toMatchObject({ system: 'first-os', state: 'armed', exitStatus: 0 })
    expect(await bootConfiguration(host)).not.toBe(configuration)
    const aborted = await osflash(host, 'abort')
    expect(aborted, aborted.stderr).toMatchObject({ status: 0 })
    expect(await bootConfiguration(host)).toBe(configuration)
    expect(await host.ssh(commandLine('plan', images, { json: '' }))).toBe(plan)
    await host.ssh('sync')
    await host.machine.standingStill(() => expectBlankStage(host))
    const { bootId = '' } = (await host.look()) ?? {}
    await host.ssh('systemctl reboot')
    await host.waitFor('first-os', { seconds: LIMIT.boot, notBoot: bootId })
    expect(host.seen.map(({ system }) => system)).not.toContain('rescue')
    expect(await digestOutsideRoot(host.diskPath)).toBe(disk)
    expect(await host.ssh(`${PROGRAM} --version`)).toMatch(/^\d/)
  },
)

test.concurrent.for(['bios', 'uefi'] as const)(
  'abort behind the guard under %s: while nothing was wiped, the first OS comes back',
  async (firmware) => {
    await using host = await armedHost(`abort-guarded-${firmware}`, {
      firmware,
      options: { go: 'ssh' },
    })
    const disk = await digestOutsideRoot(host.diskPath)
    await host.powerOn()
    await host.waitForSerial('for: osflash go', LIMIT.boot + LIMIT.away)
    await host.waitFor('rescue', { seconds: LIMIT.boot })
    await host.ssh(`mount -r UUID=${DECOYS.ext4.uuid} /mnt`)
    expect(await osflash(host, 'go')).toMatchObject({ status: 0 })
    const held = await waitForState(host, ['held'], LIMIT.confirm)
    expect(held.error).toMatch(/in use/)
    await host.ssh('umount /mnt')
    const back = await osflash(host, 'abort')
    expect(back, back.stderr).toMatchObject({ status: 0 })
    await host.waitFor('first-os', { seconds: LIMIT.boot })
    expect(await status(host)).toMatchObject({ system: 'first-os', state: 'aborted' })
    const aborted = await osflash(host, 'abort')
    expect(aborted, aborted.stderr).toMatchObject({ status: 0 })
    await host.powerOff()
    await expectBlankStage(host)
    expect(await digestOutsideRoot(host.diskPath)).toBe(disk)
  },
)
