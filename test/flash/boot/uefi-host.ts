/** A host under UEFI: a folder in the place of efivarfs, and two disks with an ESP each. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type EfiVariables, efiVariables } from '../../../src/flash/boot/efi-variables.ts'
import { uefiFirstOsBoot, uefiRescueBoot } from '../../../src/flash/boot/uefi.ts'
import { encodeGpt } from '../../../src/format/gpt.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { MIB } from '../../../src/units.ts'

export const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c'
const ESP_TYPE = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'

/** The start of a disk with an ESP as partition 2. */
export function gptHead(guid: string, type = ESP_TYPE): Uint8Array {
  const partition = { number: 2, name: 'esp', type, guid, firstLba: 4096, sectors: 2048 }
  const table = { kind: 'gpt' as const, guid }
  const partitions = [{ ...partition, grow: false }]
  const layout = { sectorBytes: 512 as const, minimumBytes: 4 * MIB, table, partitions }
  return encodeGpt(layout, (4 * MIB) / 512).head
}

export const STAGE = '11111111-0000-4000-8000-000000000001'
export const TARGET = '22222222-0000-4000-8000-000000000002'
export const LOADER = '\\EFI\\BOOT\\BOOTX64.EFI'

/** What a firmware holds at first: two entries, and the order of them. */
export const FIRMWARE = {
  Boot0000: '0100000004000000' + '7fff0400',
  Boot0001: '0100000004004400' + '0000' + '7fff0400',
  BootCurrent: '0100',
  BootOrder: '01000000',
  Timeout: '0300',
}

/** A firmware with ways of its own. */
export type Change = (variables: EfiVariables) => EfiVariables

export async function uefiHost(
  firmware: Readonly<Record<string, string>> = FIRMWARE,
  change: Change = (variables) => variables,
) {
  const scratch = await makeScratch('uefi')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const paths = ['vars', 'disk', 'stage'].map((name) => join(scratch.path, name))
  const [folder = '', disk = '', stage = ''] = paths
  await mkdir(folder)
  for (const [name, data] of Object.entries(firmware)) {
    await writeFile(join(folder, `${name}-${GLOBAL}`), Buffer.from(`07000000${data}`, 'hex'))
  }
  await writeFile(join(folder, 'Boot0002-00000000-0000-0000-0000-000000000000'), 'not global')
  for (const [path, guid] of [
    [disk, TARGET],
    [stage, STAGE],
  ] as const) {
    const bytes = Buffer.alloc(MIB)
    bytes.set(gptHead(guid))
    await writeFile(path, bytes)
  }
  const variables = change(efiVariables(folder))
  const places = { variables, stageDisk: async () => stage, disk: async () => disk }
  const read = async (name: string) =>
    (await readFile(join(folder, `${name}-${GLOBAL}`))).toString('hex')
  const snapshot = async () => {
    const names = (await readdir(folder)).sort()
    return Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), 'hex')]))
  }
  const boot = uefiRescueBoot(places)
  const first = uefiFirstOsBoot(places)
  return { folder, variables, disk, stage, first, boot, places, read, snapshot }
}
