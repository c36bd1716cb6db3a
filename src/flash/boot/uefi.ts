/**
 * UEFI: the firmware's own list says what is started.
 *
 * 1. First OS: BootNext = rescue, whose entry is also the last of BootOrder, since some firmware
 *    drops entries that are in no order; but only behind what started this system, or a rescue
 *    that cannot start would be all there is. Works for every boot loader of the first OS.
 * 2. Rescue: guard = the rescue is first in BootOrder; trial = BootNext names the target;
 *    confirm = the target is first, the rescue second.
 * 3. Firmware may make entries of its own for the same loader: what an entry starts says whose it
 *    is, not its number. One that firmware keeps first against our word is removed.
 * 4. Both are the loader at the removable-media path of their own ESP, found in the GPT of their
 *    disk, so nothing of their disk has to be mounted.
 * 5. Firmware may start disk 1 without being told: until `retarget` its ESP is no file system.
 *
 * Not promised: firmware that rewrites BootOrder at each start (QEMU does with `bootindex`).
 */
import { OsflashError } from '../../errors.ts'
import { GPT_PROBE_BYTES, parseGpt } from '../../format/gpt.ts'
import { describeBlockDevice } from '../../system/block-device.ts'
import {
  BOOT_ORDER,
  checkBootVariables,
  ensureEntry,
  findEntries,
  findEntry,
  orderOf,
  readCurrent,
  readEntry,
  readNext,
  readOrder,
  removeEntry,
  starts,
  writeEntry,
  writeNext,
  writeOrder,
} from './boot-order.ts'
import { type EspFacts, type LoadFile, optionPattern } from './efi-load-option.ts'
import { type EfiVariables, efiVariables } from './efi-variables.ts'
import type { ArmBackup, ConfirmSettings, FirstOsBoot, RescueBoot } from './method.ts'
import { readPiece } from './one-write.ts'
import { returnPage, type WithheldPage, withholdPage } from './withheld-page.ts'

const ESP_TYPE_GUID = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
const LOADER = '\\EFI\\BOOT\\BOOTX64.EFI'
const RESCUE_NAME = 'osflash rescue'
const TARGET_NAME = 'osflash target'

/**
 * The EFI system partition of a disk.
 * @throws OsflashError `refused` when its GPT names none, `io`, `format`
 */
export async function readEsp(disk: string): Promise<EspFacts> {
  const sectorBytes = (await describeBlockDevice(disk))?.sectorBytes ?? 512
  const start = await readPiece({ path: disk, offset: 0, length: GPT_PROBE_BYTES })
  const esp = parseGpt(start, sectorBytes)?.partitions.find(({ type }) => type === ESP_TYPE_GUID)
  if (esp?.guid !== undefined) {
    const { number, firstLba, sectors, guid } = esp
    return { number, firstLba, sectors, guid }
  }
  throw new OsflashError('refused', `reading ${disk}: it has no EFI system partition`, {
    hints: ['take an image for firmware uefi'],
  })
}

export interface UefiFirstOsOptions {
  /** Finds the stage by its identity; it is unpacked already. */
  readonly stageDisk: () => Promise<string>
  /** Default: the firmware's. */
  readonly variables?: EfiVariables
}

export function uefiFirstOsBoot(options: UefiFirstOsOptions): FirstOsBoot {
  const { stageDisk, variables = efiVariables() } = options
  const rescue = () => loaderOn(stageDisk)
  const isArmed = async (): Promise<boolean> => {
    const entry = await readNext(variables)
    return starts(variables, { entry, file: await rescue() })
  }
  return {
    backup: async () => {
      const file = await rescue()
      // One of an earlier run is not ours to remove.
      const entry = await findEntry(variables, file)
      const option = entry === undefined ? undefined : await readEntry(variables, entry)
      return {
        kind: 'boot-next',
        // The stage may hold something else by the time this is used.
        esp: file.esp.guid,
        order: hexOf(await variables.read(BOOT_ORDER)),
        next: (await readNext(variables)) ?? null,
        entry: entry ?? null,
        option: hexOf(option),
      }
    },
    arm: async () => {
      const entry = await ensureEntry(variables, await rescue(), RESCUE_NAME)
      await putLast(variables, entry).catch(async (cause: unknown) => {
        if ((await readOrder(variables))[0] !== entry) throw cause
      })
      await writeNext(variables, entry)
      if (!(await isArmed())) throw notKept('BootNext')
      if ((await readOrder(variables))[0] !== entry) return
      await takeOut(variables, entry)
      throw putsFirst()
    },
    isArmed,
    disarm: (backup) => disarm(variables, backup),
  }
}

/** Behind what started this system; in no order when that is in none. */
async function putLast(variables: EfiVariables, entry: number): Promise<void> {
  const current = await readCurrent(variables)
  const order = await readOrder(variables)
  const others = order.filter((other) => other !== entry)
  const hasCurrent = current !== undefined && others.includes(current)
  const wanted = hasCurrent ? [...others, entry] : others
  if (order.length > 0) await setOrder(variables, wanted)
}

/** The entry first: some firmware keeps what it has an entry of in the order. */
async function takeOut(variables: EfiVariables, entry: number): Promise<void> {
  if ((await readNext(variables)) === entry) await writeNext(variables, undefined)
  await removeEntry(variables, entry)
  const order = await readOrder(variables)
  const others = order.filter((other) => other !== entry)
  if (others.length < order.length) await setOrder(variables, others)
}

/** A variable without data is none. */
const setOrder = (variables: EfiVariables, order: readonly number[]): Promise<void> =>
  order.length === 0 ? variables.remove(BOOT_ORDER) : writeOrder(variables, order)

async function disarm(variables: EfiVariables, backup: ArmBackup): Promise<void> {
  const { esp, order: bytesBefore, next, entry: before, option } = parseBackup(backup)
  const ours = await findEntries(variables, { esp: { guid: esp }, path: LOADER })
  const now = await readNext(variables)
  // Another BootNext is somebody else's wish.
  if (now === undefined || ours.includes(now)) await writeNext(variables, next)
  if (before !== undefined && option !== undefined && ours.includes(before)) {
    await writeEntry(variables, before, option)
  }
  // The entries first, as in takeOut.
  const made = ours.filter((entry) => entry !== before)
  for (const entry of made) await removeEntry(variables, entry)
  const order = await readOrder(variables)
  const without = (numbers: readonly number[], gone: readonly number[]) =>
    numbers.filter((number) => !gone.includes(number))
  const isOnlyOurs = without(order, ours).join() === without(orderOf(bytesBefore), ours).join()
  if (isOnlyOurs && bytesBefore === undefined) await variables.remove(BOOT_ORDER)
  else if (isOnlyOurs && bytesBefore !== undefined) await variables.write(BOOT_ORDER, bytesBefore)
  else if (without(order, made).length < order.length) {
    await setOrder(variables, without(order, made))
  }
}

const hexOf = (bytes: Uint8Array | undefined): string | null =>
  bytes === undefined ? null : Buffer.from(bytes).toString('hex')

const bytesOf = (hex: string | null): Uint8Array | undefined =>
  hex === null ? undefined : Uint8Array.from(Buffer.from(hex, 'hex'))

function parseBackup({ kind, esp, order, next, entry, option = null }: ArmBackup) {
  const isNumber = (value: unknown): value is number | null =>
    value === null || typeof value === 'number'
  const isHex = (value: unknown): value is string | null =>
    value === null || typeof value === 'string'
  if (kind === 'boot-next' && typeof esp === 'string' && isHex(order) && isHex(option)) {
    if (isNumber(next) && isNumber(entry)) {
      const before = { order: bytesOf(order), option: bytesOf(option) }
      return { esp, ...before, next: next ?? undefined, entry: entry ?? undefined }
    }
  }
  throw new OsflashError('format', 'reading what the firmware held before arming: it is damaged', {
    hints: ['efibootmgr -N takes BootNext away'],
  })
}

const sameEsp = (): OsflashError =>
  new OsflashError('refused', 'starting the target: its ESP has the PARTUUID of the stage', {
    hints: ['take other images: one was made of the other'],
  })

export interface UefiRescueOptions extends UefiFirstOsOptions {
  /** Finds the disk that is replaced, by its identity; called before each act. */
  readonly disk: () => Promise<string>
  /** The start of the target's ESP: not on the disk before it is this host's. */
  readonly withheld?: WithheldPage
}

export function uefiRescueBoot(options: UefiRescueOptions): RescueBoot {
  const { disk, stageDisk, withheld, variables = efiVariables() } = options
  const rescueFile = () => loaderOn(stageDisk)
  const targetFile = async (): Promise<LoadFile> => {
    const file = await loaderOn(disk)
    if (file.esp.guid !== (await rescueFile()).esp.guid) return file
    throw sameEsp()
  }
  const rescueEntry = async () => ensureEntry(variables, await rescueFile(), RESCUE_NAME)
  const targetEntry = async () => ensureEntry(variables, await targetFile(), TARGET_NAME)
  const hasGuard = async (): Promise<boolean> => {
    const [entry] = await readOrder(variables)
    return starts(variables, { entry, file: await rescueFile() })
  }
  const expectGuard = async (): Promise<void> => {
    if (!(await hasGuard())) throw notKept('BootOrder')
  }
  return {
    check: async () => {
      await readEsp(await stageDisk())
      await checkBootVariables(variables)
    },
    guard: async () => {
      const entry = await rescueEntry()
      // A trial of something old must not come before the guard.
      await writeNext(variables, undefined)
      await putFirst(variables, [entry])
      await expectGuard()
    },
    hasGuard,
    release: async () => {
      await putBehind(variables, await findEntries(variables, await rescueFile()))
    },
    wrapTarget: (target) => (withheld === undefined ? target : withholdPage(target, withheld)),
    retarget: async () => {
      await expectGuard()
      if (withheld !== undefined) await returnPage(await disk(), withheld)
      const entry = await targetEntry()
      const order = await readOrder(variables)
      if (!order.includes(entry)) await writeOrder(variables, [...order, entry])
      await expectGuard()
    },
    trial: async (granting) => {
      await expectGuard()
      const entry = await targetEntry()
      await granting?.()
      await writeNext(variables, entry)
    },
    confirm: async () => putFirst(variables, [await targetEntry(), await rescueEntry()]),
    confirmSettings: async () => settingsFor(await targetFile(), await rescueFile()),
  }
}

const loaderOn = async (find: () => Promise<string>): Promise<LoadFile> => ({
  esp: await readEsp(await find()),
  path: LOADER,
})

/** Not the numbers of the entries: firmware may give others at each start. */
const settingsFor = (target: LoadFile, rescue: LoadFile): ConfirmSettings => ({
  variables: {
    FIRMWARE: 'uefi',
    TARGET_OPTION: optionPattern(target),
    RESCUE_OPTION: optionPattern(rescue),
  },
  files: [],
})

async function putFirst(variables: EfiVariables, first: readonly number[]): Promise<void> {
  const order = await readOrder(variables)
  await writeOrder(variables, [...first, ...order.filter((entry) => !first.includes(entry))])
}

/**
 * The entries are not what boots by itself; alone in the order, they leave the firmware none.
 * Where the firmware does not keep that, they are none.
 */
async function putBehind(variables: EfiVariables, entries: readonly number[]): Promise<void> {
  const isOurs = (number: number | undefined) => number !== undefined && entries.includes(number)
  if (isOurs(await readNext(variables))) await writeNext(variables, undefined)
  const order = await readOrder(variables)
  if (!isOurs(order[0])) return
  const others = order.filter((other) => !isOurs(other))
  const wanted = others.length === 0 ? [] : [...others, ...order.filter(isOurs)]
  await setOrder(variables, wanted).catch(async () => {
    for (const entry of entries) await takeOut(variables, entry)
  })
}

/**
 * Takes the stage out of the firmware's list, before it becomes blank; it may be out already.
 * @throws OsflashError `io`, `readback`
 */
export async function removeRescueEntry(options: UefiFirstOsOptions): Promise<void> {
  const { stageDisk, variables = efiVariables() } = options
  const file = { esp: await readEsp(await stageDisk()), path: LOADER }
  for (const entry of await findEntries(variables, file)) await takeOut(variables, entry)
}

function putsFirst(): OsflashError {
  const why = 'the firmware puts it first in BootOrder'
  return new OsflashError('refused', `arming the rescue: ${why}`, {
    hints: ["the firmware's setup may say what becomes of new entries"],
  })
}

function notKept(name: string): OsflashError {
  return new OsflashError('readback', `reading back ${name}: the firmware did not keep it`, {
    hints: ["the firmware's setup may lock the boot order; unlock it"],
  })
}
