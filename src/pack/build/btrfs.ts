/**
 * A btrfs file system in a file: `mkfs.btrfs --rootdir`.
 *
 * 1. The UUID is derived; the size is fixed, or what the tree needs with room for metadata.
 *
 * Not promised: the same bytes twice. mkfs.btrfs draws the identifiers of device and trees and
 * keeps times that nobody can set. A build says so in a note.
 */
import { truncate, writeFile } from 'node:fs/promises'
import { alignUp, byteCount, MIB } from '../../units.ts'
import { type BuildContext, runAsOwner } from './context.ts'
import type { PartitionFile, PartitionJob } from './partition.ts'
import { measureTree } from './tree-size.ts'

/** Both copies of metadata and the system chunks. */
const FIT_BASE_BYTES = 320 * MIB
const FIT_FACTOR = 1.2

export async function makeBtrfs(job: PartitionJob, context: BuildContext): Promise<PartitionFile> {
  const { path, tree, label, uuid } = job
  const tally = tree === undefined ? undefined : await measureTree(tree, context)
  const fit = alignUp(FIT_BASE_BYTES + (tally?.dataBytes ?? 0) * FIT_FACTOR, MIB)
  const bytes = job.size === 'fit' ? byteCount(fit) : job.size
  context.emit({ event: 'note', text: `${job.name}: btrfs is not the same bytes in every build` })
  await writeFile(path, '')
  await truncate(path, bytes)
  await runAsOwner(context, [
    ...(['mkfs.btrfs', '--quiet', '--uuid', uuid] as const),
    ...['--sectorsize', '4096', '--metadata', 'dup'],
    ...(label === undefined ? [] : ['--label', label]),
    ...(tree === undefined ? [] : ['--rootdir', tree]),
    path,
  ])
  return { bytes, unused: [] }
}
