/**
 * The plan of an unpack run, as an operator reads it and as a machine does.
 *
 * 1. What the disk will look like: table, partitions, what grows.
 * 2. What is written, zeroed and left alone, and in which order the last bytes go.
 */
import { formatBytes } from '../units.ts'
import type { DiskPlan } from '../unpack/plan.ts'
import { counted } from './count.ts'

/** Plain data for `--json`; without the frames themselves. */
export function planFacts(plan: DiskPlan) {
  const { diskBytes, dataBytes, layout, zero, body, head } = plan
  return {
    diskBytes,
    dataBytes,
    zeroBytes: zero.reduce((sum, range) => sum + range.length, 0),
    bodyFrames: body.length,
    headFrames: head.length,
    layout,
  }
}

export function renderPlan(plan: DiskPlan): string {
  const { layout, zeroBytes, bodyFrames, headFrames, ...facts } = planFacts(plan)
  const partitions = layout.partitions.map((partition) => {
    const bytes = formatBytes(partition.sectors * layout.sectorBytes)
    const kind = partition.fileSystem?.kind ?? '-'
    const grows = partition.grow ? ', takes the room that is left' : ''
    return `  ${partition.number}  ${bytes}  ${kind}  ${partition.name}${grows}`
  })
  return [
    `disk of ${formatBytes(facts.diskBytes)}, table ${layout.table.kind}`,
    ...partitions,
    `write ${formatBytes(facts.dataBytes)} in ${counted(bodyFrames + headFrames, 'frame')}, ` +
      `zero ${formatBytes(zeroBytes)}`,
    `last: ${counted(headFrames, 'frame')} at the start of the disk, then the partition table`,
    '',
  ].join('\n')
}
