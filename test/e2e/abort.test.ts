import { expect, test } from 'vitest'
import { armHost } from './armed.ts'
import { commandLine, osflash, PROGRAM, status } from './operator.ts'
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
    const { bootId = '' } = (await host.look()) ?? {}
    await host.ssh('systemctl reboot')
    await host.waitFor('first-os', { seconds: LIMIT.boot, notBoot: bootId })
    expect(host.seen.map(({ system }) => system)).not.toContain('rescue')
    expect(await digestOutsideRoot(host.diskPath)).toBe(disk)
    expect(await host.ssh(`${PROGRAM} --version`)).toMatch(/^\d/)
  },
)
