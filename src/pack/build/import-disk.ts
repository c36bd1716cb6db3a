/**
 * A disk image as payloads.
 *
 * 1. qcow2, vhdx and vmdk are converted to raw by qemu-img; the format is told by its magic bytes,
 *    never probed, so that a raw disk cannot pose as a format that names other files.
 * 2. A disk with a GPT gives one payload a partition; the table itself becomes the layout. What
 *    lies between partitions is left out.
 * 3. Any other disk is one payload, table and all; it may be a file system without a table.
 * 4. Free blocks of a clean ext4 file system need not be written.
 *
 * Not promised: a look into LVM, RAID or encrypted partitions; they are bytes.
 */
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ioError, OsflashError } from '../../errors.ts'
import { inPhase } from '../../events.ts'
import { GPT_PROBE_BYTES, gptReservedSectors, type ParsedGpt, parseGpt } from '../../format/gpt.ts'
import type { DiskLayout, Manifest, Partition } from '../../format/manifest.ts'
import { describeBlockDevice } from '../../system/block-device.ts'
import { alignUp, byteCount, byteOffset } from '../../units.ts'
import type { ImageSource, PayloadSource } from '../source.ts'
import { type BuildContext, runTool } from './context.ts'
import type { ImportDescription } from './import-description.ts'
import { type ProbedRegion, probeRegion } from './probe.ts'

const TYPE_ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
const TYPE_BIOS_BOOT = '21686148-6449-6e6f-744e-656564454649'

/** @throws OsflashError `io`, `format`, `refused`, `process`, `missing-tool` */
export async function importDisk(
  path: string,
  description: ImportDescription,
  context: BuildContext,
): Promise<ImageSource> {
  return inPhase(context.emit, 'reading the disk', async () => {
    const disk = await openDisk(path, context)
    const table = readTable(disk)
    const parts = await (table === undefined
      ? wholeDisk(disk, context)
      : partitioned(disk, table, context))
    return {
      ...description,
      created: new Date(context.sourceDateEpoch * 1000).toISOString(),
      firmware: description.firmware ?? guessFirmware(table?.gpt),
      ...parts,
    }
  })
}

interface Disk {
  /** As the operator named it. */
  readonly shown: string
  /** The raw bytes. */
  readonly path: string
  readonly bytes: number
  /** Known for a device, to be found out for a file. */
  readonly sectorBytes: 512 | 4096 | undefined
  readonly start: Buffer
}

async function openDisk(shown: string, context: BuildContext): Promise<Disk> {
  const format = imageFormat(await readStart(shown))
  const path = format === 'raw' ? shown : await convert(shown, format, context)
  const device = await describeBlockDevice(path)
  const bytes = device?.bytes ?? (await stat(path)).size
  if (bytes === 0) throw new OsflashError('format', `reading ${shown}: the disk is empty`)
  const sectorBytes = device?.sectorBytes === 4_096 ? 4_096 : device && 512
  return { shown, path, bytes, sectorBytes, start: await readStart(path) }
}

async function readStart(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, 'r')
    const { buffer, bytesRead } = await file.read(Buffer.alloc(GPT_PROBE_BYTES), 0, undefined, 0)
    return buffer.subarray(0, bytesRead)
  } catch (cause) {
    throw ioError(`reading ${path}`, cause)
  }
}

type ImageFormat = 'raw' | 'qcow2' | 'vhdx' | 'vmdk'

const MAGIC: readonly (readonly [string, ImageFormat])[] = [
  ['QFI\xfb', 'qcow2'],
  ['vhdxfile', 'vhdx'],
  ['KDMV', 'vmdk'],
]

/** By magic bytes alone. */
export function imageFormat(start: Uint8Array): ImageFormat {
  const text = Buffer.from(start.subarray(0, 8)).toString('latin1')
  return MAGIC.find(([magic]) => text.startsWith(magic))?.[1] ?? 'raw'
}

async function convert(path: string, format: ImageFormat, context: BuildContext): Promise<string> {
  const info = await runTool(context, ['qemu-img', 'info', '-f', format, '--output=json', path])
  if (/"backing-filename"|"data-file"/.test(info.stdout)) {
    throw new OsflashError('refused', `reading ${path}: the image stands on another file`, {
      hints: [`qemu-img convert -O raw ${path} disk.raw`],
    })
  }
  const raw = join(context.scratch, 'imported-disk.raw')
  await runTool(context, ['qemu-img', 'convert', '-f', format, '-O', 'raw', path, raw])
  return raw
}

interface Table {
  readonly gpt: ParsedGpt
  readonly sectorBytes: 512 | 4096
}

function readTable({ start, sectorBytes, shown }: Disk): Table | undefined {
  for (const size of sectorBytes === undefined ? ([512, 4_096] as const) : [sectorBytes]) {
    const gpt = parseGpt(start, size)
    if (gpt === undefined) continue
    if (gpt.partitions.length > 0) return { gpt, sectorBytes: size }
    throw new OsflashError('format', `reading ${shown}: the partition table is empty`)
  }
  return undefined
}

type DiskParts = Pick<ImageSource, 'disk' | 'payloads'>

async function wholeDisk(disk: Disk, context: BuildContext): Promise<DiskParts> {
  const region = { offset: 0, length: disk.bytes }
  const { unused } = await probeRegion(disk.path, region, context)
  const sectorBytes = disk.sectorBytes ?? 512
  const minimumBytes = alignUp(disk.bytes, sectorBytes)
  return {
    disk: { sectorBytes, minimumBytes, table: { kind: 'none' }, partitions: [] },
    payloads: [payload(disk, 'disk', { ...region, unused })],
  }
}

async function partitioned(
  disk: Disk,
  { gpt, sectorBytes }: Table,
  context: BuildContext,
): Promise<DiskParts> {
  const names = payloadNames(gpt.partitions)
  const partitions: Partition[] = []
  const payloads: PayloadSource[] = []
  let end = 0
  for (const [position, partition] of gpt.partitions.entries()) {
    const region = {
      offset: partition.firstLba * sectorBytes,
      length: partition.sectors * sectorBytes,
    }
    end = Math.max(end, region.offset + region.length)
    if (end > disk.bytes) {
      throw new OsflashError(
        'format',
        `reading ${disk.shown}: partition ${partition.number} ends at byte ${end}, ` +
          `the disk at ${disk.bytes}`,
      )
    }
    const probed = await probeRegion(disk.path, region, context)
    partitions.push(withFileSystem(partition, probed))
    const name = names[position] ?? `p${partition.number}`
    payloads.push(payload(disk, name, { ...region, unused: probed.unused }))
  }
  const tail = (gptReservedSectors(sectorBytes) - 1) * sectorBytes
  const bootCode = gpt.bootCode.some((byte) => byte !== 0)
    ? { bootCode: Buffer.from(gpt.bootCode).toString('base64') }
    : {}
  const layout: DiskLayout = {
    sectorBytes,
    minimumBytes: end + tail,
    table: { kind: 'gpt', guid: gpt.guid, ...bootCode },
    partitions,
  }
  return { disk: layout, payloads: payloads.toSorted(byOffset) }
}

function withFileSystem(partition: Partition, { fileSystem }: ProbedRegion): Partition {
  const known =
    partition.type === TYPE_BIOS_BOOT ? { kind: 'bios-boot' as const } : (fileSystem ?? undefined)
  return known === undefined ? partition : { ...partition, fileSystem: known }
}

const byOffset = (a: PayloadSource, b: PayloadSource): number => a.range.offset - b.range.offset

interface Region {
  readonly offset: number
  readonly length: number
  readonly unused: PayloadSource['unused']
}

function payload(disk: Disk, name: string, { offset, length, unused }: Region): PayloadSource {
  return {
    name,
    place: { kind: 'region', offsetBytes: offset },
    path: disk.path,
    range: { offset: byteOffset(offset), length: byteCount(length) },
    unused,
  }
}

/** From the partitions' names, where those are short, plain and there once; else `p` and number. */
export function payloadNames(partitions: readonly Partition[]): readonly string[] {
  const wished = partitions.map(({ name }) =>
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9._-]+/g, '-')
      .replaceAll(/^[-._]+|[-._]+$/g, ''),
  )
  return partitions.map(({ number }, position) => {
    const name = wished[position] ?? ''
    const once = wished.filter((other) => other === name).length === 1
    return once && name !== '' && !/^p[0-9]+$/.test(name) ? name : `p${number}`
  })
}

function guessFirmware(gpt: ParsedGpt | undefined): Manifest['firmware'] {
  // Boot code of an unknown table could be anything: both are possible.
  if (gpt === undefined) return ['bios', 'uefi']
  const types = gpt.partitions.map(({ type }) => type)
  return [
    ...(types.includes(TYPE_BIOS_BOOT) ? (['bios'] as const) : []),
    ...(types.includes(TYPE_ESP) ? (['uefi'] as const) : []),
  ]
}
