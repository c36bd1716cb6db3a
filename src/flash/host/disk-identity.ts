/**
 * By what a disk is known, and which of several disks is meant.
 *
 * 1. A disk may have several serial numbers and WWNs: the kernel's own, and what udev made of
 *    them. Two systems on one host may differ in that, so all of them count.
 * 2. Text is compared without blanks, prefixes and case; nothing else is forgiven.
 * 3. Exactly one disk must fit an identity: none and two are both refused.
 * 4. Names that the kernel gives (sda, nvme0n1) are no identities: they change with each start.
 *
 * Pure; disks.ts reads the disks.
 */
import { OsflashError } from '../../errors.ts'
import { formatBytes } from '../../units.ts'
import type { DiskIdentity } from '../plan/plan.ts'
import type { BlockNode } from './lsblk.ts'

/** Of a table that could not be looked at: it equals no other, not even itself. */
export const UNREADABLE = 'unreadable'

export interface Disk {
  /** Where the kernel has it now. */
  readonly path: string
  readonly name: string
  readonly bytes: number
  readonly sectorBytes: number
  readonly readOnly: boolean
  readonly model?: string
  /** The kernel's first. */
  readonly serials: readonly string[]
  readonly wwns: readonly string[]
  /** Names in /dev/disk/by-id that point to it. */
  readonly byId: readonly string[]
  /** GPT disk GUID, or MBR identifier; lower case. */
  readonly tableId?: string
  /** `gpt`, `dos`, `UNREADABLE`; absent where there is none. */
  readonly tableKind?: string
  /** The disk and what is on it. */
  readonly node: BlockNode
}

/**
 * What the plan pins of a disk.
 * @throws OsflashError `refused` for a disk without serial number and WWN
 */
export function identityOf(disk: Disk): DiskIdentity {
  const [serial] = disk.serials
  const [wwn] = disk.wwns
  if (serial === undefined && wwn === undefined) {
    throw new OsflashError(
      'refused',
      `identifying ${disk.path}: it has neither a serial number nor a WWN`,
      { hints: ['give the disk a serial number (virtual machines: serial=… of the drive)'] },
    )
  }
  return {
    ...(serial === undefined ? {} : { serial }),
    ...(wwn === undefined ? {} : { wwn }),
    bytes: disk.bytes,
    sectorBytes: disk.sectorBytes,
    ...(disk.tableId === undefined ? {} : { tableId: disk.tableId }),
    ...(disk.model === undefined ? {} : { model: disk.model }),
    path: disk.path,
  }
}

/**
 * The one disk that has this identity.
 * @throws OsflashError `refused` for none and for several, naming the disks that came close
 */
export function matchDisk(
  disks: readonly Disk[],
  wanted: DiskIdentity,
  tableId: 'check' | 'ignore',
): Disk {
  const named = disks.filter((disk) => hasNumbers(disk, wanted))
  const found = named.filter(
    (disk) =>
      hasIdentity(disk, wanted) &&
      (tableId === 'ignore' || (disk.tableKind !== UNREADABLE && disk.tableId === wanted.tableId)),
  )
  const [disk] = found
  if (found.length === 1 && disk !== undefined) return disk
  const what = `finding the disk ${identityText(wanted)}`
  if (found.length > 1) throw refusedMatch(what, `${found.length} disks fit`, found)
  if (named.length === 0) throw refusedMatch(what, 'no disk has this number', disks)
  throw refusedMatch(what, 'size, sectors or partition table are not those of the plan', named)
}

/** Numbers, size and sectors; whatever its partition table is. */
export const hasIdentity = (disk: Disk, wanted: DiskIdentity): boolean =>
  hasNumbers(disk, wanted) && disk.bytes === wanted.bytes && disk.sectorBytes === wanted.sectorBytes

function hasNumbers(disk: Disk, { serial, wwn }: DiskIdentity): boolean {
  if (serial === undefined && wwn === undefined) return false
  const sameSerial = serial === undefined || disk.serials.some((one) => sameNumber(one, serial))
  const sameWwn = wwn === undefined || disk.wwns.some((one) => sameNumber(one, wwn))
  return sameSerial && sameWwn
}

/**
 * The disk that an operator named.
 * @param text a serial number, a WWN, or a name in /dev/disk/by-id with or without the folder
 * @throws OsflashError `refused` for none, several, and names that are no identities
 */
export function pickDisk(disks: readonly Disk[], text: string): Disk {
  const id = text.replace(/^\/dev\/disk\/by-id\//, '')
  const what = `finding the disk ${text}`
  const byName = disks.find(({ name, path }) => id === name || id === path)
  if (byName !== undefined) {
    throw new OsflashError('refused', `${what}: this name may mean another disk after a reboot`, {
      hints: bestNames([byName]),
    })
  }
  const found = disks.filter(
    ({ serials, wwns, byId }) =>
      byId.includes(id) || [...serials, ...wwns].some((one) => sameNumber(one, id)),
  )
  const [disk] = found
  if (found.length === 1 && disk !== undefined) return disk
  if (found.length > 1) throw refusedMatch(what, `${found.length} disks have it`, found)
  throw refusedMatch(what, 'no disk has this serial number, WWN or name in /dev/disk/by-id', disks)
}

function refusedMatch(what: string, why: string, candidates: readonly Disk[]): OsflashError {
  return new OsflashError('refused', `${what}: ${why}`, { hints: bestNames(candidates) })
}

/** What to type instead; loop devices only when nothing else is there. */
function bestNames(disks: readonly Disk[]): string[] {
  const real = disks.filter(({ node }) => node.type !== 'loop')
  const lines = (real.length === 0 ? disks : real).slice(0, 8).map((disk) => {
    const id = disk.serials[0] ?? disk.wwns[0] ?? disk.byId[0]
    const about = `${disk.path}, ${formatBytes(disk.bytes)}${disk.model ? `, ${disk.model}` : ''}`
    return id === undefined ? `${about}: has no serial number` : `${id} is ${about}`
  })
  return lines.length === 0 ? ['lsblk -o NAME,SERIAL,WWN,SIZE'] : lines
}

/** For messages: `QM00001 (20.0 GiB)`. */
export function identityText({ serial, wwn, bytes }: DiskIdentity): string {
  return `${serial ?? wwn ?? 'without a number'} (${formatBytes(bytes)})`
}

/** udev writes blanks as underscores, and WWNs with a prefix of their kind. */
function sameNumber(a: string, b: string): boolean {
  return plainNumber(a) === plainNumber(b)
}

const plainNumber = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/\s+/g, '_')
    .replace(/^(naa\.|eui\.|wwn-|nvme-eui\.)?(0x)?/, '')
