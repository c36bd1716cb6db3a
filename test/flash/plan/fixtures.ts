/** Hosts, disks and images for the checks of preflight: all fine until a test changes something. */

import { OsflashError } from '../../../src/errors.ts'
import type { DiskContent } from '../../../src/flash/host/contents.ts'
import type { Disk } from '../../../src/flash/host/disk-identity.ts'
import type { BlockNode } from '../../../src/flash/host/lsblk.ts'
import type { Manifest } from '../../../src/format/manifest.ts'
import { GIB, MIB } from '../../../src/units.ts'

const LINUX_GUID = '0fc63daf-8483-4772-8e79-3d69d8477de4'
const ESP_GUID = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'

/** `id` makes all identifiers of an image. */
export function manifest(id: string, changes: Partial<Manifest> = {}): Manifest {
  const guid = (n: number): string => `${id.repeat(8)}-0000-4000-8000-00000000000${n}`
  const esp = {
    number: 1,
    name: 'esp',
    type: ESP_GUID,
    guid: guid(1),
    firstLba: 2_048,
    sectors: (128 * MIB) / 512,
    grow: false,
    fileSystem: { kind: 'vfat' as const, uuid: 'ABCD-0001' },
  }
  const root = {
    number: 2,
    name: 'root',
    type: LINUX_GUID,
    guid: guid(2),
    firstLba: 2_048 + esp.sectors,
    sectors: GIB / 512,
    grow: true,
    fileSystem: { kind: 'ext4' as const, uuid: guid(3) },
  }
  return {
    format: 'osflash-image/1',
    name: `image-${id}`,
    sequence: 5,
    created: '2026-01-01T00:00:00Z',
    os: { family: 'linux', network: 'networkd', title: `System ${id}` },
    architecture: 'x86_64',
    firmware: ['bios', 'uefi'],
    boot: { rootPartition: 2, kernel: '/vmlinuz', initrd: '/initrd.img', commandLine: 'quiet' },
    disk: {
      sectorBytes: 512,
      minimumBytes: 1_200 * MIB,
      table: { kind: 'gpt', guid: guid(9) },
      partitions: [esp, root],
    },
    encryption: { cipher: 'aes256', aead: 'ocb', chunkOctet: 12 },
    payloads: [],
    ...changes,
  }
}

/** A manifest with some fields of its disk changed. */
export function withDisk(
  from: Manifest,
  changes: Partial<NonNullable<Manifest['disk']>>,
): Manifest {
  if (from.disk === undefined) throw new Error('no disk to change')
  return { ...from, disk: { ...from.disk, ...changes } }
}

export function node(name: string, changes: Partial<BlockNode> = {}): BlockNode {
  return {
    name,
    path: `/dev/${name}`,
    type: 'disk',
    bytes: 8 * GIB,
    sectorBytes: 512,
    readOnly: false,
    children: [],
    ...changes,
  }
}

export function disk(name: string, changes: Partial<Disk> = {}): Disk {
  return {
    path: `/dev/${name}`,
    name,
    bytes: 8 * GIB,
    sectorBytes: 512,
    readOnly: false,
    serials: [`SN-${name}`],
    wwns: [],
    byId: [],
    tableId: `dddddddd-0000-4000-8000-${name.padStart(12, '0')}`,
    tableKind: 'gpt',
    node: node(name),
    ...changes,
  }
}

/** A disk with a table; its partitions are given as children. */
export function content(path: string, changes: Partial<DiskContent> = {}): DiskContent {
  return {
    path,
    bytes: GIB,
    type: 'disk',
    mountPoints: [],
    isSwap: false,
    hasTable: true,
    hidesPartitions: false,
    isBlank: false,
    otherDisks: [],
    children: [],
    ...changes,
  }
}

/** A partition. */
export function part(path: string, changes: Partial<DiskContent> = {}): DiskContent {
  return content(path, { type: 'part', hasTable: false, ...changes })
}

/** What a check throws; the test fails when it does not. */
export function refusal(act: () => unknown): OsflashError {
  try {
    act()
  } catch (error) {
    if (error instanceof OsflashError) return error
    throw error
  }
  throw new Error('it was not refused')
}
