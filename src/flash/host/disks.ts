/**
 * The disks of this host, read anew each time.
 *
 * 1. `lsblk` gives the tree, sysfs the numbers that the kernel itself read from the disk,
 *    /dev/disk/by-id the names that udev made, `blkid -p` the identifier of the partition table
 *    (from the disk, not from a cache).
 * 2. Whoever destroys something calls `resolveDisk` right before: names move, identities do not.
 * 3. A loop device counts as a disk; its serial number is the path of its file.
 *
 * Not promised: that a disk stays where it is after the answer.
 */
import { open, readdir, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { ioError } from '../../errors.ts'
import { run } from '../../system/run.ts'
import type { DiskIdentity } from '../plan/plan.ts'
import { type Disk, matchDisk, pickDisk, UNREADABLE } from './disk-identity.ts'
import { type BlockNode, parseLsblk } from './lsblk.ts'

const BY_ID = '/dev/disk/by-id'
/** blkid: nothing was found; several things were found. */
const BLKID_NOTHING = 2
const BLKID_AMBIVALENT = 8

/**
 * Every disk that holds at least a sector.
 * @throws OsflashError `missing-tool`, `process`, `unexpected`
 */
export async function listDisks(): Promise<Disk[]> {
  const { stdout } = await run(['lsblk', '-J', '-b', '-O'])
  const nodes = parseLsblk(stdout).filter(({ type, bytes }) => isDisk(type) && bytes > 0)
  const links = await readLinks()
  return Promise.all(nodes.map((node) => describeDisk(node, links)))
}

const isDisk = (type: string): boolean => type === 'disk' || type === 'loop'

/**
 * Where the disk of a plan is now.
 * @param tableId `ignore` once the partition table was overwritten
 * @throws OsflashError `refused` unless exactly one disk has the identity
 */
export async function resolveDisk(
  identity: DiskIdentity,
  { tableId }: { readonly tableId: 'check' | 'ignore' },
): Promise<string> {
  return matchDisk(await listDisks(), identity, tableId).path
}

/**
 * The disk that an operator named by serial number, WWN or a name in /dev/disk/by-id.
 * @throws OsflashError `refused` unless exactly one fits
 */
export async function findDisk(text: string): Promise<Disk> {
  return pickDisk(await listDisks(), text)
}

/** The node of a partition: `/dev/sda` 2 is `/dev/sda2`, `/dev/nvme0n1` 2 is `/dev/nvme0n1p2`. */
export function partitionPath(disk: string, number: number): string {
  return /\d$/.test(disk) ? `${disk}p${number}` : `${disk}${number}`
}

/** Names in /dev/disk/by-id, by the device that each means. */
async function readLinks(): Promise<ReadonlyMap<string, readonly string[]>> {
  const links = new Map<string, string[]>()
  for (const name of (await readdir(BY_ID).catch(() => [])).sort()) {
    const device = await realpath(join(BY_ID, name)).catch(() => undefined)
    if (device !== undefined) links.set(device, [...(links.get(device) ?? []), name])
  }
  return links
}

async function describeDisk(
  node: BlockNode,
  links: ReadonlyMap<string, readonly string[]>,
): Promise<Disk> {
  const sysfs = join('/sys/class/block', node.name)
  const serials = [await kernelSerial(sysfs, node.type), node.serial]
  const wwns = [await readText(join(sysfs, 'wwid')), await readText(join(sysfs, 'device/wwid'))]
  const table = await probeTable(node.path)
  return {
    path: node.path,
    name: node.name,
    bytes: node.bytes,
    sectorBytes: node.sectorBytes,
    readOnly: node.readOnly,
    ...(node.model === undefined ? {} : { model: node.model }),
    serials: unique(serials),
    wwns: unique([...wwns.filter((one) => isWwn(one)), node.wwn]),
    byId: links.get(node.path) ?? [],
    ...table,
    node,
  }
}

/** Where the drivers put it: virtio; NVMe and MMC; SCSI's page 0x80; the file of a loop device. */
async function kernelSerial(sysfs: string, type: string): Promise<string | undefined> {
  if (type === 'loop') return readText(join(sysfs, 'loop/backing_file'))
  return (
    (await readText(join(sysfs, 'serial'))) ??
    (await readText(join(sysfs, 'device/serial'))) ??
    unitSerial(await readFile(join(sysfs, 'device/vpd_pg80')).catch(() => undefined))
  )
}

/** SPC-5, 7.7.15: four bytes of header, then the number in ASCII, often padded with blanks. */
function unitSerial(page: Buffer | undefined): string | undefined {
  const text = page?.toString('latin1', 4, 4 + page.readUInt16BE(2)).replaceAll('\0', '')
  return text?.trim() === '' ? undefined : text?.trim()
}

/** `t10.` ones hold vendor and model as text, with blanks that each reader treats as it likes. */
const isWwn = (text: string | undefined): boolean => /^(naa|eui|uuid|nvme)\./.test(text ?? '')

async function readText(path: string): Promise<string | undefined> {
  const text = (await readFile(path, 'utf8').catch(() => '')).replaceAll('\0', '').trim()
  return text === '' ? undefined : text
}

const unique = (texts: readonly (string | undefined)[]): string[] => [
  ...new Set(texts.filter((one) => one !== undefined)),
]

/**
 * The partition table as it is on the disk now. Remains of a file system beside it would make
 * blkid doubt everything, so it is asked for tables alone.
 */
async function probeTable(path: string): Promise<Pick<Disk, 'tableId' | 'tableKind'>> {
  const tags = await probe(path, ['-u', 'nofilesystem,raid,crypto,other']).catch(() => undefined)
  if (tags === undefined) return { tableKind: UNREADABLE }
  const [id, kind] = [tags.get('PTUUID'), tags.get('PTTYPE')]
  return {
    ...(id === undefined ? {} : { tableId: id.toLowerCase() }),
    ...(kind === undefined ? {} : { tableKind: kind }),
  }
}

/**
 * What `blkid -p` finds on a device: `TYPE`, `LABEL`, `UUID`, `PTTYPE`, `PTUUID`, …
 * Several contradicting signatures give `TYPE` `ambivalent`.
 * @throws OsflashError `io` when the device cannot be read
 */
export async function probe(
  path: string,
  options: readonly string[] = [],
): Promise<ReadonlyMap<string, string>> {
  // blkid says of a device that it cannot open what it says of a blank one.
  await open(path).then(
    (file) => file.close(),
    (cause: unknown) => {
      throw ioError(`looking at ${path}`, cause)
    },
  )
  const statuses = [0, BLKID_NOTHING, BLKID_AMBIVALENT]
  const result = await run(['blkid', '-p', ...options, '-o', 'export', path], { statuses })
  if (result.status === BLKID_AMBIVALENT) return new Map([['TYPE', 'ambivalent']])
  return parseExport(result.stdout)
}

/** Lines `NAME=value`; blkid puts a backslash before what a shell would read. */
function parseExport(text: string): ReadonlyMap<string, string> {
  const tags = new Map<string, string>()
  for (const line of text.split('\n')) {
    const at = line.indexOf('=')
    if (at > 0) tags.set(line.slice(0, at), line.slice(at + 1).replace(/\\(.)/g, '$1'))
  }
  return tags
}
