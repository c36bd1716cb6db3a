/**
 * What `build`, `pack` and `rewrap` tell at their end.
 *
 * 1. Text: size, ratio, and where the time went.
 * 2. JSON: the whole report of the image writer.
 */
import type { PackReport } from '../pack/image/report.ts'
import { formatBytes, formatDuration } from '../units.ts'
import { counted } from './count.ts'
import type { VerbContext } from './verb.ts'

export function tellPacked(context: VerbContext, output: string, report: PackReport): void {
  if (context.json) {
    context.stdout.write(`${JSON.stringify({ output, ...report })}\n`)
    return
  }
  const { bytes, rawBytes, dataBytes, frames, segments } = report
  const seconds = Object.entries(report.seconds)
    .map(([phase, duration]) => `${phase} ${formatDuration(duration)}`)
    .join(', ')
  const ratio = dataBytes === 0 ? '' : ` (${(dataBytes / bytes).toFixed(2)} : 1)`
  context.stdout.write(
    `${output}: ${formatBytes(bytes)}${ratio} ` +
      `of ${formatBytes(dataBytes)} data on ${formatBytes(rawBytes)}; ` +
      `${counted(frames, 'frame')} in ${counted(segments, 'segment')}; ${seconds}\n`,
  )
}
