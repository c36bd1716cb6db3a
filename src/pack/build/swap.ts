/**
 * A swap partition in a file: `mkswap` with a derived UUID.
 *
 * 1. The file is sparse; only the first page holds anything.
 * 2. Everything after it need not be written: the kernel reads no page that it has not written.
 */
import { truncate, writeFile } from 'node:fs/promises'
import { OsflashError } from '../../errors.ts'
import { byteCount, byteOffset } from '../../units.ts'
import { type BuildContext, runTool } from './context.ts'
import type { PartitionFile, PartitionJob } from './partition.ts'

const PAGE_BYTES = 4_096

export async function makeSwap(job: PartitionJob, context: BuildContext): Promise<PartitionFile> {
  if (job.size === 'fit') throw new OsflashError('recipe', `making ${job.name}: swap needs a size`)
  await writeFile(job.path, '', { mode: 0o600 })
  await truncate(job.path, job.size)
  const label = job.label === undefined ? [] : ['-L', job.label]
  const page = ['--pagesize', String(PAGE_BYTES)]
  await runTool(context, ['mkswap', '-U', job.uuid, ...page, ...label, job.path], {
    stdout: 'ignore',
  })
  const rest = { offset: byteOffset(PAGE_BYTES), length: byteCount(job.size - PAGE_BYTES) }
  return { bytes: job.size, unused: [rest] }
}
