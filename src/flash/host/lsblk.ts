/**
 * What `lsblk -J -b -O` says, as a tree of our own.
 *
 * 1. Versions of util-linux differ: numbers may be strings, truth may be "0" and "1", a device
 *    may have `mountpoint` or `mountpoints`. All are read.
 * 2. Only what is used is kept; a key that is missing is absent.
 * 3. A device with two parents (RAID) stands below each of them.
 *
 * Pure. Not promised: that file systems are what lsblk says; it repeats what udev once saw.
 */
import * as z from 'zod/mini'
import { OsflashError } from '../../errors.ts'

/** A device of the tree: a disk, a partition, or what lies on them. */
export interface BlockNode {
  /** As in /sys/class/block: `sda1`, `dm-0`. */
  readonly name: string
  /** `/dev/sda1`, `/dev/mapper/vg-root`. */
  readonly path: string
  /** `disk`, `part`, `loop`, `rom`, `raid1`, `lvm`, `crypt`, `mpath`, … */
  readonly type: string
  readonly bytes: number
  readonly sectorBytes: number
  readonly readOnly: boolean
  /** `sata`, `nvme`, `usb`, `iscsi`, …; virtual disks have none. */
  readonly transport?: string
  readonly model?: string
  readonly serial?: string
  readonly wwn?: string
  /** UUID of the file system, as udev once saw it. */
  readonly uuid?: string
  readonly children: readonly BlockNode[]
}

const word = z.nullish(z.union([z.string(), z.number(), z.boolean()]))

const rowSchema = z.looseObject({
  name: z.string(),
  kname: word,
  path: word,
  type: word,
  size: word,
  'log-sec': word,
  ro: word,
  tran: word,
  model: word,
  serial: word,
  wwn: word,
  uuid: word,
  children: z.optional(z.array(z.unknown())),
})

const listSchema = z.looseObject({ blockdevices: z.array(z.unknown()) })

/** @throws OsflashError `unexpected` when it is not what lsblk prints */
export function parseLsblk(json: string): BlockNode[] {
  try {
    return listSchema.parse(JSON.parse(json)).blockdevices.map(nodeOf)
  } catch (cause) {
    throw new OsflashError('unexpected', 'reading the list of disks: lsblk printed no such list', {
      cause,
      hints: ['lsblk -J -b -O shows it; util-linux 2.27 or later is needed'],
    })
  }
}

function nodeOf(value: unknown): BlockNode {
  const row = rowSchema.parse(value)
  const name = textOf(row.kname) ?? row.name
  return {
    name,
    path: textOf(row.path) ?? `/dev/${name}`,
    type: textOf(row.type) ?? 'unknown',
    bytes: Number(row.size ?? 0),
    sectorBytes: Number(row['log-sec'] ?? 512),
    readOnly: row.ro === true || row.ro === 1 || row.ro === '1',
    ...named('transport', textOf(row.tran)),
    ...named('model', textOf(row.model)),
    ...named('serial', textOf(row.serial)),
    ...named('wwn', textOf(row.wwn)),
    ...named('uuid', textOf(row.uuid)),
    children: (row.children ?? []).map(nodeOf),
  }
}

function textOf(value: unknown): string | undefined {
  const text = value === null || value === undefined ? '' : String(value).trim()
  return text === '' ? undefined : text
}

function named<Key extends string>(key: Key, value: string | undefined): { [K in Key]?: string } {
  const pair: { [K in Key]?: string } = {}
  if (value !== undefined) pair[key] = value
  return pair
}

/** A device and everything that lies on it, parents first. */
export function* nodesOf(node: BlockNode): Generator<BlockNode> {
  yield node
  for (const child of node.children) yield* nodesOf(child)
}
