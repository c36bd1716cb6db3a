/**
 * A FAT file system in a file, without mounting it.
 *
 * 1. `mkfs.vfat --invariant` with a derived serial number; FAT32 where the size allows it, because
 *    some firmware reads nothing else from an ESP.
 * 2. Files go in through mtools, sorted, whose clock stands at SOURCE_DATE_EPOCH.
 */
import { truncate, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { byteCount, MIB } from '../../units.ts'
import { type BuildContext, runTool } from './context.ts'
import type { PartitionFile, PartitionJob } from './partition.ts'

/** A file of a FAT file system; the path is absolute, with slashes. */
export interface FatFile {
  readonly path: string
  readonly from: string
}

const FAT32_MIN_SECTORS = 66_600
const FIT_SLACK_BYTES = 64 * MIB

/** @throws OsflashError `process`, e.g. when the files do not fit */
export async function makeVfat(
  job: PartitionJob,
  files: readonly FatFile[],
  context: BuildContext,
): Promise<PartitionFile> {
  if (job.tree !== undefined) {
    throw new OsflashError('refused', `making ${job.name}: vfat cannot hold a Unix tree`)
  }
  const bytes = job.size === 'fit' ? byteCount(FIT_SLACK_BYTES) : job.size
  const serial = job.uuid.replace('-', '')
  const width = bytes / job.sectorBytes >= FAT32_MIN_SECTORS ? ['-F', '32'] : []
  const label = job.label === undefined ? [] : ['-n', job.label.toUpperCase().slice(0, 11)]
  await writeFile(job.path, '')
  await truncate(job.path, bytes)
  const sector = ['-S', String(job.sectorBytes)]
  const derived = ['--invariant', '-i', serial]
  await runTool(context, ['mkfs.vfat', ...derived, ...width, ...sector, ...label, job.path])
  await addFiles(job, files, context)
  return { bytes, unused: [] }
}

async function addFiles(
  job: PartitionJob,
  files: readonly FatFile[],
  context: BuildContext,
): Promise<void> {
  const options = { env: { MTOOLSRC: '/dev/null', MTOOLS_SKIP_CHECK: '1' } }
  const folders = new Set<string>()
  for (const { path, from } of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    for (const folder of parentFolders(path)) {
      if (folders.has(folder)) continue
      folders.add(folder)
      await runTool(context, ['mmd', '-i', job.path, `::${folder}`], options)
    }
    await runTool(context, ['mcopy', '-i', job.path, from, `::${path}`], options)
  }
}

function parentFolders(path: string): string[] {
  const parent = dirname(path)
  return parent === '/' ? [] : [...parentFolders(parent), parent]
}
