import { mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { encodeLoadOption, optionPattern } from '../../../src/flash/boot/efi-load-option.ts'
import { efiVariables } from '../../../src/flash/boot/efi-variables.ts'
import { flashPlan } from '../flash-plan.ts'
import { GUARD_CODE, hasProgram, listAll, makeTrialHost, type TrialHost } from './trial-host.ts'

const isRoot = process.getuid?.() === 0
const GUID = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const shells = [
  { shell: 'dash', isThere: true },
  { shell: 'busybox', isThere: await hasProgram('busybox') },
] as const

/** What the entries of target and rescue start. */
const loader = (guid: string) => ({
  esp: { number: 1, firstLba: 2048, sectors: 4096, guid },
  path: '\\EFI\\BOOT\\BOOTX64.EFI',
})
const TARGET = loader('22222222-0000-4000-8000-00000000000a')
const RESCUE = loader('11111111-0000-4000-8000-000000000102')
const OTHER = { ...TARGET, path: '\\EFI\\debian\\shimx64.efi' }

/** 16-bit numbers, little-endian. */
const order = (...entries: readonly number[]): Buffer =>
  Buffer.from(new Uint8Array(new Uint16Array(entries).buffer))

interface UefiHost extends TrialHost {
  readonly variables: ReturnType<typeof efiVariables>
  /** The file of a variable. */
  file(name: string): string
  order(): Promise<readonly number[]>
}

/** Under UEFI, with a plain folder in the place of efivarfs; the entry 000A started it. */
async function makeUefiHost(shell: 'dash' | 'busybox', before: Buffer): Promise<UefiHost> {
  const host = await makeTrialHost({
    shell,
    plan: {
      host: { ...flashPlan().host, firmware: 'uefi' },
      confirm: { how: 'ssh', withinSeconds: 0 },
    },
    boot: {
      variables: {
        EFIVARS: '/efivars',
        TARGET_OPTION: optionPattern(TARGET),
        RESCUE_OPTION: optionPattern(RESCUE),
      },
      files: [],
    },
  })
  const folder = join(host.root, 'efivars')
  await mkdir(folder)
  const variables = efiVariables(folder)
  await variables.write('BootOrder', before)
  await variables.write('BootCurrent', order(0x000a))
  await variables.write('Boot0000', encodeLoadOption('debian', OTHER))
  await variables.write('Boot000A', encodeLoadOption('osflash target', TARGET))
  await variables.write('Boot0102', encodeLoadOption('osflash rescue', RESCUE))
  const file = (name: string) => join(folder, `${name}-${GUID}`)
  const readOrder = async () => {
    const bytes = await readFile(file('BootOrder'))
    expect(bytes.readUInt32LE(0)).toBe(7)
    return Array.from({ length: bytes.length / 2 - 2 }, (_, i) => bytes.readUInt16LE(4 + 2 * i))
  }
  return Object.assign(host, { variables, file, order: readOrder })
}

describe.each(shells)('needs root: UEFI in $shell', ({ shell, isThere }) => {
  const can = isRoot && isThere

  test.skipIf(!can)('the order is target, rescue, then the rest as it was', async () => {
    await using host = await makeUefiHost(shell, order(0x0102, 0x0000, 0x00ff, 0x000a))
    const { status, stderrTail } = await host.agent('confirm')
    expect({ status, stderrTail }).toEqual({ status: 0, stderrTail: '' })
    expect(await host.order()).toEqual([0x000a, 0x0102, 0x0000, 0x00ff])
    expect((await host.sector0()).subarray(0, 440)).toEqual(GUARD_CODE)
    await host.withStore(async (store) => {
      expect(await listAll(store)).toEqual(['confirmed', 'lost+found'])
    })
  })

  test.skipIf(!can)('entries that were not in the order are put there', async () => {
    await using host = await makeUefiHost(shell, order(0x0102))
    expect((await host.agent('confirm')).status).toBe(0)
    expect(await host.order()).toEqual([0x000a, 0x0102])
  })

  test.skipIf(!can)('a firmware that numbers its entries anew is followed', async () => {
    await using host = await makeUefiHost(shell, order(0x0001, 0x000a, 0x0000))
    // Somebody else has the target's number of before.
    await rename(host.file('Boot0102'), host.file('Boot0001'))
    await rename(host.file('Boot000A'), host.file('Boot1B2C'))
    await rename(host.file('Boot0000'), host.file('Boot000A'))
    await host.variables.write('BootCurrent', order(0x1b2c))
    const { status, stderrTail } = await host.agent('confirm')
    expect({ status, stderrTail }).toEqual({ status: 0, stderrTail: '' })
    expect(await host.order()).toEqual([0x1b2c, 0x0001, 0x000a, 0x0000])
  })

  test.skipIf(!can)('of two entries of the target it is the one that started it', async () => {
    await using host = await makeUefiHost(shell, order(0x0102, 0x0003))
    await host.variables.write('Boot0003', encodeLoadOption('UEFI OS', TARGET))
    expect((await host.agent('confirm')).status).toBe(0)
    expect(await host.order()).toEqual([0x000a, 0x0102, 0x0003])
  })

  test.skipIf(!can)('a rescue without an entry is in no order', async () => {
    await using host = await makeUefiHost(shell, order(0x0000))
    await unlink(host.file('Boot0102'))
    // Nothing says what was started; its content says what 000A starts.
    await unlink(host.file('BootCurrent'))
    expect((await host.agent('confirm')).status).toBe(0)
    expect(await host.order()).toEqual([0x000a, 0x0000])
  })

  test.skipIf(!can)('a firmware that lost the entry of the target is not written to', async () => {
    await using host = await makeUefiHost(shell, order(0x0102))
    // The number stays, as somebody else's.
    await host.variables.write('Boot000A', encodeLoadOption('osflash target', OTHER))
    const { status, stderrTail } = await host.agent('confirm')
    expect(status).toBe(1)
    expect(stderrTail).toContain('the firmware has lost the boot entry of this system')
    expect(await host.order()).toEqual([0x0102])
    await host.withStore(async (store) => {
      expect(await listAll(store)).not.toContain('confirmed')
    })
  })

  test.skipIf(!can)('a target that another entry started is not confirmed', async () => {
    await using host = await makeUefiHost(shell, order(0x0102, 0x0000))
    await host.variables.write('BootCurrent', order(0x0000))
    const { status, stderrTail } = await host.agent('confirm')
    expect(status).toBe(1)
    expect(stderrTail).toContain('the boot entry 0000 started this system, not its own, 000A')
    expect(await host.order()).toEqual([0x0102, 0x0000])
  })

  test.skipIf(!can)('a cut after the order: the next boot finishes without checks', async () => {
    await using host = await makeUefiHost(shell, order(0x000a, 0x0102))
    await writeFile(join(host.root, 'var/lib/osflash/confirming'), '')
    expect((await host.agent('run')).status).toBe(0)
    expect(await host.reboots()).toBe('')
  })

  test.skipIf(!can)('a cut before the order: another system of that number is not it', async () => {
    await using host = await makeUefiHost(shell, order(0x000a, 0x0102))
    await host.variables.write('Boot000A', encodeLoadOption('debian', OTHER))
    await writeFile(join(host.root, 'var/lib/osflash/confirming'), '')
    expect((await host.agent('run')).status).toBe(1)
    expect(await host.reboots()).toContain('systemctl reboot\n')
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
