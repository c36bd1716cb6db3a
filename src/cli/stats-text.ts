/**
 * Where the time of a run went, as an operator reads it: `unpack --stats`.
 *
 * 1. The phases one after another, from the start of the process.
 * 2. The stages of the frames, side by side: their seconds are summed over all frames, so they may
 *    exceed the time that went by; how many frames were in that stage at a time; the rate of one.
 * 3. What limited, and the peak of memory.
 */
import { formatBytes } from '../units.ts'
import { THREAD_STAGES } from '../unpack/stage-times.ts'
import { counted } from './count.ts'
import type { RunStats } from './run-stats.ts'

/** @param bytes bytes of data that the run moved */
export function renderStats(stats: RunStats, bytes: number): string {
  const { startSeconds, phases, split, peakBytes } = stats
  const percent = (part: number): string => `${Math.round(part * 100)} %`
  const busy = `busy: threads ${percent(split.busy)}, main thread ${percent(split.mainBusy)}`
  const rows = Object.entries(phases).map(([phase, taken]) => [phase, seconds(taken), ''])
  return [
    ...table([['start', seconds(startSeconds), ''], ...rows]),
    '',
    ...table(stageRows(stats, bytes)),
    '',
    `limit: ${split.limit} (${busy})`,
    `peak memory: ${formatBytes(peakBytes)}`,
    '',
  ].join('\n')
}

function stageRows({ stages, split }: RunStats, bytes: number): string[][] {
  const row = (stage: string, taken: number): string[] => [
    stage,
    seconds(taken),
    split.seconds === 0 ? '' : (taken / split.seconds).toFixed(1),
    taken === 0 ? '' : `${formatBytes(Math.round(bytes / taken))}/s`,
  ]
  const inThreads = THREAD_STAGES.filter((stage) => stages[stage] > 0)
  return [
    ['stage', 'seconds', 'at a time', 'rate of one'],
    row('read', stages.read),
    ...inThreads.map((stage) => row(stage, stages[stage])),
    [
      ...row('threads wait', split.waitingSeconds).slice(0, 3),
      `of ${counted(stages.threads, 'thread')}`,
    ],
    row('write', stages.sink),
  ]
}

const seconds = (value: number): string => `${value.toFixed(2)} s`

/** Lines of columns: the first and the last of a row are set left, the others right. */
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
