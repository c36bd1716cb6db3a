/**
 * What is in a region of a disk: `blkid` names the file system, `dumpe2fs` its free blocks.
 *
 * 1. Both read at an offset of the file, so no loop device is needed.
 * 2. Free blocks of ext4 count only when the file system was unmounted cleanly: a journal that
 *    waits for recovery may hold newer bitmaps than the disk.
 * 3. The two must name the same file system, so that the bitmaps are those of this region.
 * 4. Where a partition table may be, no block is free: a superblock that an earlier use of the
 *    disk left would take the partitions for its free space.
 *
 * Not promised: that a file system is sound.
 */
import { open, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { ioError, OsflashError } from '../../errors.ts'
import type { Partition } from '../../format/manifest.ts'
import type { ByteRange } from '../source.ts'
import { type BuildContext, runTool } from './context.ts'
import { parseDumpe2fs, unusedRanges } from './ext4-free.ts'

export interface ProbedRegion {
  readonly fileSystem: Partition['fileSystem'] | undefined
  readonly unused: readonly ByteRange[]
}

interface Region {
  readonly offset: number
  readonly length: number
}

const KINDS: Readonly<Record<string, NonNullable<Partition['fileSystem']>['kind']>> = {
  ext4: 'ext4',
  xfs: 'xfs',
  btrfs: 'btrfs',
  vfat: 'vfat',
  swap: 'swap',
}

export async function probeRegion(
  path: string,
  region: Region,
  context: BuildContext,
): Promise<ProbedRegion> {
  const where = ['--offset', String(region.offset), '--size', String(region.length)]
  // Status 2: nothing known is there; 8: several things, so nothing is certain.
  const { stdout } = await runTool(context, ['blkid', '--probe', ...where, '-o', 'export', path], {
    statuses: [0, 2, 8],
  })
  const tags = new Map(stdout.split('\n').map((row) => splitOnce(row)))
  const kind = KINDS[tags.get('TYPE') ?? '']
  if (kind === undefined) return { fileSystem: undefined, unused: [] }
  const uuid = tags.get('UUID')
  const label = tags.get('LABEL')
  const alone = !tags.has('PTTYPE') && !(await mayHoldTable(path, region))
  return {
    fileSystem: {
      kind,
      ...(uuid === undefined ? {} : { uuid }),
      ...(label === undefined ? {} : { label }),
    },
    unused: kind === 'ext4' && alone ? await freeBlocks({ path, region, uuid }, context) : [],
  }
}

/** The primary GPT header lies in the second sector, of 512 or 4,096 bytes. */
const HEAD_BYTES = 8_192
/** The backup one lies in the last sector. */
const TAIL_BYTES = 4_096
const MBR_MARK = Buffer.from([0x55, 0xaa])
const MBR_MARK_AT = 510
const GPT_MARK = 'EFI PART'

/** Whether an MBR or either header of a GPT is there, sound or not. */
async function mayHoldTable(path: string, { offset, length }: Region): Promise<boolean> {
  const head = await readAt(path, offset, Math.min(HEAD_BYTES, length))
  const tailBytes = Math.min(TAIL_BYTES, length)
  const tail = await readAt(path, offset + length - tailBytes, tailBytes)
  const mbr = head.subarray(MBR_MARK_AT, MBR_MARK_AT + MBR_MARK.length).equals(MBR_MARK)
  return mbr || head.includes(GPT_MARK) || tail.includes(GPT_MARK)
}

async function readAt(path: string, position: number, length: number): Promise<Buffer> {
  try {
    await using file = await open(path)
    const { buffer } = await file.read({ buffer: Buffer.alloc(length), position })
    return buffer
  } catch (cause) {
    throw ioError(`reading ${path}`, cause)
  }
}

interface Ext4 {
  readonly path: string
  readonly region: Region
  /** What blkid calls it. */
  readonly uuid: string | undefined
}

async function freeBlocks(ext4: Ext4, context: BuildContext): Promise<readonly ByteRange[]> {
  try {
    const stdout = await describeExt4(ext4, context)
    if (!isSettled(stdout, ext4.uuid)) return []
    const usage = parseDumpe2fs(stdout)
    // A file system that claims more than its partition is not to be trusted with anything.
    if (usage.blocks * usage.blockBytes > ext4.region.length) return []
    return unusedRanges(usage)
  } catch (error) {
    const harmless = error instanceof OsflashError && error.code === 'process'
    if (harmless || error instanceof RangeError) return []
    throw error
  }
}

/** Whether the bitmaps say what is free, and are those of the file system that is asked for. */
function isSettled(description: string, uuid: string | undefined): boolean {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(description)?.[1]
  if (/\b(needs_recovery|bigalloc)\b/.test(field('Filesystem features') ?? '')) return false
  return field('Filesystem state') === 'clean' && field('Filesystem UUID') === uuid
}

/** dumpe2fs knows no offset in every version; where it fails for that, it gets a sparse copy. */
async function describeExt4({ path, region }: Ext4, context: BuildContext): Promise<string> {
  // e2fsprogs takes what follows a question mark as options.
  if (!path.includes('?')) {
    const place = region.offset === 0 ? path : `${path}?offset=${region.offset}`
    const { status, stdout } = await runTool(context, ['dumpe2fs', place], { statuses: [0, 1] })
    if (status === 0) return stdout
    // The same bytes would say the same.
    if (region.offset === 0) return ''
  }
  return describeCopy(path, region, context)
}

async function describeCopy(path: string, region: Region, context: BuildContext): Promise<string> {
  const copy = join(context.scratch, 'ext4-to-describe')
  const input = [`if=${path}`, 'iflag=skip_bytes,count_bytes', `skip=${region.offset}`]
  const output = [`of=${copy}`, `count=${region.length}`, 'bs=1M', 'conv=sparse', 'status=none']
  try {
    await runTool(context, ['dd', ...input, ...output])
    await truncate(copy, region.length)
    return (await runTool(context, ['dumpe2fs', copy])).stdout
  } finally {
    await rm(copy, { force: true })
  }
}

function splitOnce(row: string): readonly [string, string] {
  const at = row.indexOf('=')
  // blkid -o export puts backslashes before what a shell would mind.
  return [row.slice(0, Math.max(0, at)), row.slice(at + 1).replaceAll(/\\(.)/g, '$1')]
}
