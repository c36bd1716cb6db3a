/**
 * Where the time of a run went, as an operator reads it: `unpack --stats`.
 *
 * 1. The phases one after another, from the start of the process.
 * 2. The stages of the frames, side by side: seconds summed over threads, so they may exceed the
 *    time that went by; and the rate of a thread, or of a read or write, while it was at it.
 * 3. What limited, and the peak of memory.
 */
import { formatBytes } from '../units.ts'
import { THREAD_STAGES } from '../unpack/stage-times.ts'
import { counted } from './count.ts'
import type { RunStats } from './run-stats.ts'

/** @param bytes bytes of data that the run moved */
export function renderStats(stats: RunStats, bytes: number): string {
  const { startSeconds, phases, split, peakBytes } = stats
  const limited = `${split.limit} (threads busy ${Math.round(split.busy * 100)} % of the time)`
  const rows = Object.entries(phases).map(([phase, taken]) => [phase, seconds(taken), ''])
  return [
    ...table([['start', seconds(startSeconds), ''], ...rows]),
    '',
    ...table(stageRows(stats, bytes)),
    '',
    `limit: ${limited}`,
    `peak memory: ${formatBytes(peakBytes)}`,
    '',
  ].join('\n')
}

function stageRows({ stages, split }: RunStats, bytes: number): string[][] {
  const row = (stage: string, taken: number): string[] => [
    stage,
    seconds(taken),
    taken === 0 ? '' : `${formatBytes(Math.round(bytes / taken))}/s`,
  ]
  const [first, ...rest] = THREAD_STAGES.map((stage) => row(stage, stages[stage]))
  const inThreads = `in ${counted(stages.threads, 'thread')}`
  return [
    row('read', stages.read),
    [...(first ?? []), inThreads],
    ...rest.filter(([, , rate]) => rate !== ''),
    ['waiting', seconds(split.waitingSeconds), ''],
    row('write', stages.sink),
  ]
}

const seconds = (value: number): string => `${value.toFixed(2)} s`

/** Lines of columns: the first and the last are set left, the others right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, i) => {
        const width = widths[i] ?? 0
        return i === 0 || i === row.length - 1 ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd(),
  )
}
