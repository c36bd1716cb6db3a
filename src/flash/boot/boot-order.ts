/**
 * The firmware's list of what to start: Boot####, BootOrder, BootNext (UEFI 2.10, 3.3).
 *
 * 1. An entry is found by what it starts, whatever its number; a missing one gets the lowest free
 *    number. Firmware may make entries of its own for the same file.
 * 2. Numbers in BootOrder that are not ours stay, in their order.
 * 3. `checkBootVariables` writes, reads and removes an entry that starts nothing, so a firmware
 *    without room or with a lock is found before anything is touched.
 */
import { OsflashError } from '../../errors.ts'
import {
  encodeLoadOption,
  type LoadFile,
  type NamedFile,
  namesPlace,
  parseLoadOption,
  startsFile,
} from './efi-load-option.ts'
import type { EfiVariables } from './efi-variables.ts'

export const BOOT_ORDER = 'BootOrder'
const BOOT_NEXT = 'BootNext'
const BOOT_CURRENT = 'BootCurrent'
const NUMBER_MAX = 0xffff

/** `0x2a` as `002A`. */
export const entryText = (entry: number): string =>
  entry.toString(16).toUpperCase().padStart(4, '0')
const nameOf = (entry: number): string => `Boot${entryText(entry)}`

/** Bytes of BootOrder as such numbers. */
export const orderOf = (data: Uint8Array | undefined): readonly number[] =>
  numbersOf(data ?? new Uint8Array())

/** Numbers of BootOrder, first one first. @throws OsflashError `io` */
export const readOrder = async (variables: EfiVariables): Promise<readonly number[]> =>
  orderOf(await variables.read(BOOT_ORDER))

/** @throws OsflashError `io`, `readback` */
export const writeOrder = (variables: EfiVariables, order: readonly number[]): Promise<void> =>
  variables.write(BOOT_ORDER, bytesOf(order))

/** What BootNext names; undefined when nothing. @throws OsflashError `io` */
export const readNext = (variables: EfiVariables): Promise<number | undefined> =>
  readNumber(variables, BOOT_NEXT)

/** What started this system; undefined where nothing says so. @throws OsflashError `io` */
export const readCurrent = (variables: EfiVariables): Promise<number | undefined> =>
  readNumber(variables, BOOT_CURRENT)

/** PARTUUID that an entry names; some name none. @throws OsflashError `io` */
export async function readGuid(
  variables: EfiVariables,
  entry: number | undefined,
): Promise<string | undefined> {
  const option = entry === undefined ? undefined : await readEntry(variables, entry)
  return option === undefined ? undefined : parseLoadOption(option)?.guid
}

async function readNumber(variables: EfiVariables, name: string): Promise<number | undefined> {
  const data = await variables.read(name)
  return data === undefined ? undefined : numbersOf(data)[0]
}

/** @throws OsflashError `io`, `readback` */
export const writeNext = (variables: EfiVariables, entry: number | undefined): Promise<void> =>
  entry === undefined ? variables.remove(BOOT_NEXT) : variables.write(BOOT_NEXT, bytesOf([entry]))

/** The numbers of active entries that start this file, lowest first. @throws OsflashError `io` */
export async function findEntries(
  variables: EfiVariables,
  file: NamedFile,
): Promise<readonly number[]> {
  const found: number[] = []
  for (const entry of await entriesOf(variables)) {
    if (await starts(variables, { entry, file })) found.push(entry)
  }
  return found
}

/** The lowest of them; firmware may have made more. @throws OsflashError `io` */
export const findEntry = async (
  variables: EfiVariables,
  file: NamedFile,
): Promise<number | undefined> => (await findEntries(variables, file))[0]

export interface EntryOfFile {
  /** None starts nothing. */
  readonly entry: number | undefined
  readonly file: NamedFile
}

/** Whether this entry is active and starts this file. @throws OsflashError `io` */
export async function starts(
  variables: EfiVariables,
  { entry, file }: EntryOfFile,
): Promise<boolean> {
  const option = entry === undefined ? undefined : await readEntry(variables, entry)
  return option !== undefined && startsFile(option, file)
}

/** @throws OsflashError `io` */
export const readEntry = (
  variables: EfiVariables,
  entry: number,
): Promise<Uint8Array | undefined> => variables.read(nameOf(entry))

/** @throws OsflashError `io`, `readback` */
export const writeEntry = (
  variables: EfiVariables,
  entry: number,
  option: Uint8Array,
): Promise<void> => variables.write(nameOf(entry), option)

/**
 * Finds the entry or makes it; one of an image whose partition lay elsewhere is written anew.
 * @throws OsflashError `io`, `readback`, `refused`
 */
export async function ensureEntry(
  variables: EfiVariables,
  file: LoadFile,
  description: string,
): Promise<number> {
  const found = await findEntry(variables, file)
  const option = found === undefined ? undefined : await readEntry(variables, found)
  if (found !== undefined && option !== undefined && namesPlace(option, file.esp)) return found
  const entry = found ?? (await freeNumber(variables))
  await writeEntry(variables, entry, encodeLoadOption(description, file))
  return entry
}

/** @throws OsflashError `io`, `readback` */
export const removeEntry = (variables: EfiVariables, entry: number): Promise<void> =>
  variables.remove(nameOf(entry))

const CHECK_NAME = 'osflash check'

/**
 * Whether entries can be made and removed; leaves nothing.
 * @throws OsflashError `io`, `readback`, `refused`
 */
export async function checkBootVariables(variables: EfiVariables): Promise<void> {
  // What a check that was cut left behind.
  for (const entry of await entriesOf(variables)) {
    const option = await variables.read(nameOf(entry))
    if (option !== undefined && parseLoadOption(option)?.description === CHECK_NAME) {
      await removeEntry(variables, entry)
    }
  }
  const esp = { number: 1, firstLba: 0, sectors: 0, guid: '00000000-0000-0000-0000-000000000000' }
  const option = encodeLoadOption(CHECK_NAME, { esp, path: '\\EFI\\BOOT\\NONE.EFI' })
  // Not active: nothing starts it, even if it stayed.
  option[0] = 0
  const entry = await freeNumber(variables)
  try {
    await variables.write(nameOf(entry), option)
  } finally {
    await removeEntry(variables, entry)
  }
}

async function entriesOf(variables: EfiVariables): Promise<readonly number[]> {
  const names = await variables.list()
  return names
    .flatMap((name) => /^Boot([0-9A-F]{4})$/.exec(name)?.[1] ?? [])
    .map((digits) => Number.parseInt(digits, 16))
    .sort((a, b) => a - b)
}

/** Neither an entry's, nor one that BootOrder or BootNext names. */
async function freeNumber(variables: EfiVariables): Promise<number> {
  const next = await readNext(variables)
  const taken = new Set([...(await entriesOf(variables)), ...(await readOrder(variables)), next])
  for (let entry = 0; entry <= NUMBER_MAX; entry += 1) {
    if (!taken.has(entry)) return entry
  }
  throw new OsflashError('refused', 'making a boot entry: the firmware has no free number', {
    hints: ['efibootmgr lists entries; remove some'],
  })
}

function numbersOf(data: Uint8Array): readonly number[] {
  const bytes = Buffer.from(data)
  return Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readUInt16LE(2 * i))
}

function bytesOf(numbers: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(2 * numbers.length)
  for (const [i, number] of numbers.entries()) bytes.writeUInt16LE(number, 2 * i)
  return Uint8Array.from(bytes)
}
