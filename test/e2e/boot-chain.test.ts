import { expect, test } from 'vitest'
import { armedHost } from './armed.ts'
import { osflash, PROGRAM, status, waitForState } from './operator.ts'
import { LIMIT } from './takeover.ts'

/** Under UEFI the firmware's order is the guard, and BootNext the trial. */
const MARKS = {
  bios: { guard: 'osflash: guard', trial: 'osflash: trial' },
  uefi: { guard: 'osflash: rescue', trial: 'state trial' },
} as const

test.concurrent.for(['bios', 'uefi'] as const)(
  'under %s a reset after the guard, and one during the trial, end in the rescue',
  async (firmware) => {
    await using host = await armedHost(`boot-chain-${firmware}`, { firmware })
    await host.powerOn()
    const flashing = await host.waitForSerial('state flashing', LIMIT.boot + LIMIT.away)
    await host.machine.reset()
    await host.waitForSerial(MARKS[firmware].guard, LIMIT.boot, flashing)
    const rescue = await host.waitFor('rescue', { seconds: LIMIT.boot })
    expect(await status(host)).toMatchObject({ system: 'rescue' })
    const trial = await host.waitForSerial(MARKS[firmware].trial, LIMIT.flash, flashing)
    await host.waitForSerial('Run /init as init process', LIMIT.boot, trial)
    await host.machine.reset()
    await host.waitFor('rescue', { seconds: LIMIT.boot, notBoot: rescue.bootId })
    expect(await waitForState(host, ['held'], LIMIT.confirm)).toMatchObject({ system: 'rescue' })
    expect(await status(host)).toMatchObject({ exitStatus: 3 })
    await host.ssh(`systemd-run --quiet --collect --unit=e2e-resume ${PROGRAM} resume`)
    await host.waitFor('target', { seconds: LIMIT.flash })
    await waitForState(host, ['confirmed'], LIMIT.confirm)
    expect((await osflash(host, 'status')).stdout).toContain('confirmed')
  },
)
