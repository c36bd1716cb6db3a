/**
 * An ext4 file system in a file, the same bytes each time.
 *
 * 1. `mke2fs -d` with every feature named, so the host's mke2fs.conf does not count. Features
 *    that GRUB 2.06 or a kernel of Debian 12 cannot read (orphan_file, metadata_csum_seed) are
 *    left out.
 * 2. UUID and hash seed are derived; the clock of e2fsprogs stands at SOURCE_DATE_EPOCH.
 * 3. mke2fs copies access and change times, which nobody can set: debugfs sets them for all inodes.
 * 4. Free blocks become ranges that need not be written.
 *
 * Not promised: the same bytes from another version of e2fsprogs.
 */
import { rm, truncate, writeFile } from 'node:fs/promises'
import { alignUp, byteCount, MIB } from '../../units.ts'
import { type BuildContext, runAsOwner, runTool } from './context.ts'
import { parseDumpe2fs, unusedRanges } from './ext4-free.ts'
import type { PartitionFile, PartitionJob } from './partition.ts'
import { measureTree } from './tree-size.ts'

const FEATURES = [
  'none',
  'has_journal',
  'ext_attr',
  'resize_inode',
  'dir_index',
  'filetype',
  'extent',
  '64bit',
  'flex_bg',
  'sparse_super',
  'large_file',
  'huge_file',
  'dir_nlink',
  'extra_isize',
  'metadata_csum',
]

const JOURNAL_MIB = 32
const FIT_SLACK_BYTES = 64 * MIB
const FIT_FACTOR = 1.12
const BYTES_PER_INODE = 16_384
const INODE_BYTES = 256
/** Below this a journal of 32 MiB would leave no room. */
const JOURNAL_FROM_BYTES = 256 * MIB

/** @throws OsflashError `process` when the tree does not fit */
export async function makeExt4(job: PartitionJob, context: BuildContext): Promise<PartitionFile> {
  const { path, tree, label, uuid } = job
  const tally = tree === undefined ? undefined : await measureTree(tree, context)
  const bytes = job.size === 'fit' ? fittingBytes(tally ?? { dataBytes: 0, entries: 0 }) : job.size
  const inodes = Math.max((tally?.entries ?? 0) * 1.25 + 64, bytes / BYTES_PER_INODE)
  const hashSeed = job.identifiers.uuid(`hash seed ${job.name}`)
  const extended = `hash_seed=${hashSeed},lazy_itable_init=0,lazy_journal_init=0`
  const journal =
    bytes < JOURNAL_FROM_BYTES ? ['-O', '^has_journal'] : ['-J', `size=${JOURNAL_MIB}`]
  await runAsOwner(
    context,
    [
      'mke2fs',
      ...['-q', '-F', '-t', 'ext4', '-b', '4096', '-I', String(INODE_BYTES), '-m', '1'],
      ...['-O', FEATURES.join(','), '-E', extended, '-N', String(Math.ceil(inodes)), '-U', uuid],
      ...journal,
      ...(label === undefined ? [] : ['-L', label]),
      ...(tree === undefined ? [] : ['-d', tree]),
      path,
      `${bytes / 1024}k`,
    ],
    { env: { MKE2FS_CONFIG: '/dev/null' } },
  )
  // mke2fs leaves out a last block group that is too small to be one.
  await truncate(path, bytes)
  await setInodeTimes(path, context)
  const { stdout } = await runTool(context, ['dumpe2fs', path])
  return { bytes, unused: unusedRanges(parseDumpe2fs(stdout)) }
}

function fittingBytes(tally: { readonly dataBytes: number; readonly entries: number }) {
  const needed = tally.dataBytes + tally.entries * 1.25 * INODE_BYTES + JOURNAL_MIB * MIB
  return byteCount(alignUp(needed * FIT_FACTOR + FIT_SLACK_BYTES, MIB))
}

async function setInodeTimes(path: string, context: BuildContext): Promise<void> {
  const { stdout } = await runTool(context, ['dumpe2fs', path])
  const when = `@${context.sourceDateEpoch}`
  const commands: string[] = []
  for (const inode of parseDumpe2fs(stdout).usedInodes) {
    for (const field of ['atime', 'ctime', 'crtime']) {
      commands.push(`set_inode_field <${inode}> ${field} ${when}`)
    }
  }
  const script = `${path}.debugfs`
  await writeFile(script, `${commands.join('\n')}\n`)
  await runTool(context, ['debugfs', '-w', '-f', script, path], { stdout: 'ignore' })
  await rm(script)
}
