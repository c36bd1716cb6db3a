/**
 * placeholder
 */
import { OsflashError } from '../../errors.ts'
import type { BuildContext } from './context.ts'
import type { PartitionFile, PartitionJob } from './partition.ts'

export async function makeXfs(job: PartitionJob, _context: BuildContext): Promise<PartitionFile> {
  throw new OsflashError('refused', `making ${job.name}: xfs is not supported yet`)
}
