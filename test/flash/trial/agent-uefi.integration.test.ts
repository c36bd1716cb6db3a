import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { flashPlan } from '../flash-plan.ts'
import { GUARD_CODE, hasProgram, listAll, makeTrialHost, type TrialHost } from './trial-host.ts'

const isRoot = process.getuid?.() === 0
const GUID = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const shells = [
  { shell: 'dash', isThere: true },
  { shell: 'busybox', isThere: await hasProgram('busybox') },
] as const

/** A boot variable as efivarfs shows it: attributes, then 16-bit numbers, little-endian. */
const order = (...entries: readonly number[]): Buffer =>
  Buffer.from(new Uint8Array(new Uint16Array([7, 0, ...entries]).buffer))

/** Under UEFI, with a plain folder in the place of efivarfs. */
async function makeUefiHost(shell: 'dash' | 'busybox', before: Buffer): Promise<TrialHost> {
  const host = await makeTrialHost({
    shell,
    plan: {
      host: { ...flashPlan().host, firmware: 'uefi' },
      confirm: { how: 'ssh', withinSeconds: 0 },
    },
    boot: {
      variables: { EFIVARS: '/efivars', TARGET_ENTRY: '000A', RESCUE_ENTRY: '0102' },
      files: [],
    },
  })
  await mkdir(join(host.root, 'efivars'))
  await writeFile(join(host.root, `efivars/BootOrder-${GUID}`), before)
  for (const entry of ['000A', '0102']) {
    await writeFile(join(host.root, `efivars/Boot${entry}-${GUID}`), 'an entry')
  }
  return host
}

const readOrder = (host: TrialHost): Promise<Buffer> =>
  readFile(join(host.root, `efivars/BootOrder-${GUID}`))

describe.each(shells)('needs root: UEFI in $shell', ({ shell, isThere }) => {
  const can = isRoot && isThere

  test.skipIf(!can)('the order is target, rescue, then the rest as it was', async () => {
    await using host = await makeUefiHost(shell, order(0x0102, 0x0000, 0x00ff, 0x000a))
    const { status, stderrTail } = await host.agent('confirm')
    expect({ status, stderrTail }).toEqual({ status: 0, stderrTail: '' })
    expect(await readOrder(host)).toEqual(order(0x000a, 0x0102, 0x0000, 0x00ff))
    expect((await host.sector0()).subarray(0, 440)).toEqual(GUARD_CODE)
    await host.withStore(async (store) => {
      expect(await listAll(store)).toEqual(['confirmed', 'lost+found'])
    })
  })

  test.skipIf(!can)('entries that were not in the order are put there', async () => {
    await using host = await makeUefiHost(shell, order(0x0102))
    expect((await host.agent('confirm')).status).toBe(0)
    expect(await readOrder(host)).toEqual(order(0x000a, 0x0102))
  })

  test.skipIf(!can)('a firmware that lost the entry of the target is not written to', async () => {
    await using host = await makeUefiHost(shell, order(0x0102))
    await writeFile(join(host.root, 'etc/osflash/trial.conf'), "\nTARGET_ENTRY='0BAD'\n", {
      flag: 'a',
    })
    const { status, stderrTail } = await host.agent('confirm')
    expect(status).toBe(1)
    expect(stderrTail).toContain('the firmware has lost the boot entry 0BAD of this system')
    expect(await readOrder(host)).toEqual(order(0x0102))
  })

  test.skipIf(!can)('a cut after the order: the next boot finishes without checks', async () => {
    await using host = await makeUefiHost(shell, order(0x000a, 0x0102))
    await writeFile(join(host.root, 'var/lib/osflash/confirming'), '')
    expect((await host.agent('run')).status).toBe(0)
    expect(await host.reboots()).toBe('')
  })

  test.skipIf(!can)('a firmware that put the target first by itself confirms nothing', async () => {
    await using host = await makeUefiHost(shell, order(0x000a, 0x0102))
    expect((await host.agent('run')).status).toBe(1)
    expect(await host.reboots()).toContain('systemctl reboot\n')
    await host.withStore(async (store) => {
      expect(await listAll(store)).toContain('target.session-key')
    })
  })
})
