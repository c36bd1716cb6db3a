/**
 * Looks at, and edits, the disk files of machines that are off.
 *
 * 1. Partitions come from sfdisk; a file system is reached at its offset, without mounting.
 * 2. ext4 is read and written by debugfs, so nothing needs a loop device.
 */
import { type FileHandle, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'

const SECTOR_BYTES = 512

const partitionSchema = z.object({
  node: z.string(),
  start: z.number(),
  size: z.number(),
  type: z.string(),
  uuid: z.optional(z.string()),
  name: z.optional(z.string()),
})
const tableSchema = z.object({
  partitiontable: z.object({
    label: z.string(),
    id: z.string(),
    partitions: z.optional(z.array(partitionSchema)),
  }),
})

export interface Partition {
  readonly number: number
  readonly name: string
  readonly offset: number
  readonly bytes: number
}

export interface PartitionTable {
  readonly label: string
  /** GPT disk GUID or MBR identifier, as sfdisk prints it. */
  readonly id: string
  readonly partitions: readonly Partition[]
}

export async function readTable(disk: string): Promise<PartitionTable> {
  const { stdout } = await run(['sfdisk', '--json', disk])
  const { label, id, partitions = [] } = tableSchema.parse(JSON.parse(stdout)).partitiontable
  return {
    label,
    id,
    partitions: partitions.map(({ node, start, size, name }) => ({
      number: Number(/(\d+)$/.exec(node)?.[1]),
      name: name ?? '',
      offset: start * SECTOR_BYTES,
      bytes: size * SECTOR_BYTES,
    })),
  }
}

/** The partition with that name; there is exactly one. */
export async function partitionNamed(disk: string, name: string): Promise<Partition> {
  const { partitions } = await readTable(disk)
  const found = partitions.filter((partition) => partition.name === name)
  const [only] = found
  if (only === undefined || found.length > 1) {
    const names = partitions.map((partition) => partition.name).join(', ')
    throw new Error(`${disk}: ${found.length} partitions named ${name} among ${names}`)
  }
  return only
}

/** `bytes` bytes from `offset`; a negative offset counts from the end. */
export async function readBytes(disk: string, offset: number, bytes: number): Promise<Buffer> {
  await using file = await open(disk, 'r')
  const start = offset < 0 ? (await file.stat()).size + offset : offset
  return readRange(file, start, bytes)
}

async function readRange(file: FileHandle, start: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes)
  const { bytesRead } = await file.read(buffer, 0, bytes, start)
  return buffer.subarray(0, bytesRead)
}

const SCAN_BYTES = 16 * 1024 * 1024

/** Where the bytes stand on the disk, for each name; holes are read too. */
export async function findBytes(
  disk: string,
  wanted: Readonly<Record<string, Uint8Array>>,
): Promise<Record<string, number[]>> {
  const entries = Object.entries(wanted)
  const found = Object.fromEntries(entries.map(([name]): [string, number[]] => [name, []]))
  const overlap = Math.max(...entries.map(([, bytes]) => bytes.length)) - 1
  await using file = await open(disk, 'r')
  const { size } = await file.stat()
  for (let start = 0; start < size; start += SCAN_BYTES) {
    const window = await readRange(file, start, SCAN_BYTES + overlap)
    for (const [name, bytes] of entries) {
      let at = window.indexOf(bytes)
      for (; at !== -1 && at < SCAN_BYTES; at = window.indexOf(bytes, at + 1)) {
        found[name]?.push(start + at)
      }
    }
  }
  return found
}

/** A UUID as file systems store it. */
const uuidBytes = (uuid: string): Buffer => Buffer.from(uuid.replaceAll('-', ''), 'hex')

/** A GUID as GPT stores it: the first three fields little endian. */
export function guidBytes(guid: string): Buffer {
  const bytes = uuidBytes(guid)
  bytes.subarray(0, 4).reverse()
  bytes.subarray(4, 6).reverse()
  bytes.subarray(6, 8).reverse()
  return bytes
}

/** Runs debugfs on an ext4 file system inside a disk; one request a line. */
export async function debugfs(
  disk: string,
  partition: Partition,
  requests: readonly string[],
): Promise<string> {
  await using scratch = await makeScratch('e2e-debugfs')
  const script = join(scratch.path, 'requests')
  await writeFile(script, `${requests.join('\n')}\n`)
  const device = `${disk}?offset=${partition.offset}`
  const { stdout, stderrTail } = await run(['debugfs', '-w', '-f', script, device])
  const complaint = stderrTail.split('\n').filter((line) => !HARMLESS.test(line))
  if (complaint.length > 0) throw new Error(`debugfs ${disk}: ${complaint.join('; ')}`)
  return stdout
}

/** Its greeting, and that a file to be replaced is new. */
const HARMLESS = /^$|^debugfs |^rm: File not found/

export interface NewFile {
  /** Absolute in the file system; its folder exists. */
  readonly path: string
  readonly bytes: Uint8Array
  /** As in `chmod`, octal. */
  readonly mode: number
}

/** Puts files into an ext4 file system inside a disk; what has the name goes away. */
export async function putFiles(
  disk: string,
  partition: Partition,
  files: readonly NewFile[],
): Promise<void> {
  await using scratch = await makeScratch('e2e-files')
  const requests: string[] = []
  for (const [place, { path, bytes, mode }] of files.entries()) {
    const from = join(scratch.path, String(place))
    await writeFile(from, bytes)
    requests.push(`rm ${path}`, `write ${from} ${path}`)
    requests.push(`sif ${path} mode 0${(0o100_000 | mode).toString(8)}`)
    requests.push(`sif ${path} uid 0`, `sif ${path} gid 0`)
  }
  await debugfs(disk, partition, requests)
}
