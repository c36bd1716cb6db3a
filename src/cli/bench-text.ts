/**
 * What `osflash bench` found, as an operator reads it.
 *
 * 1. A row for each stage alone, the three of the threads also together, then all at once.
 * 2. The limiting stage, in a line of its own.
 * 3. What twice the threads, source or target would bring, and which links are fast enough.
 */
import { formatBytes, formatDuration } from '../units.ts'
import type { BenchReport } from '../unpack/bench/bench.ts'
import type { Change, LinkRate, Verdict } from '../unpack/bench/model.ts'
import { counted } from './count.ts'
import { table } from './stats-text.ts'

/** Below this a gain is noise. */
const GAIN_MIN = 0.02
/** Below this the stages are in each other's way, and the operator should know. */
const REACHED_MIN = 0.8

export function renderBench(report: BenchReport): string {
  const { verdict } = report
  return [
    facts(report),
    '',
    ...table([['stage', 'data', ''], ...stageRows(report)]),
    '',
    `limit: ${verdict.limit}; the whole image takes about ${wholeImage(report)}`,
    ...reachedLines(verdict),
    '',
    ...table([
      ...verdict.changes.map((change) => [changeText(change, report), ...gain(change)]),
      ...verdict.links.map((link) => linkRow(link, verdict)),
    ]),
    '',
  ].join('\n')
}

function facts(report: BenchReport): string {
  const { image, dataBytes, packedBytes, frames, threads, processors, target } = report
  const ratio = (dataBytes / packedBytes).toFixed(2)
  const data = `${formatBytes(dataBytes)} of data in ${counted(frames, 'frame')}`
  const to = target === undefined ? [] : [`to ${target.path} (${target.kind}${direct(target)})`]
  return [
    `${image}: ${data}, packed ${formatBytes(packedBytes)} (${ratio}:1)`,
    `${counted(threads, 'thread')} on ${counted(processors, 'processor')}`,
    ...to,
  ].join('\n')
}

const direct = (target: { readonly direct: boolean }): string =>
  target.direct ? ', direct' : ', through the page cache'

/** Bytes a second for people. */
export const rate = (bytesPerSecond: number): string =>
  `${formatBytes(Math.round(bytesPerSecond))}/s`

function stageRows({ stages, allThreads, together }: BenchReport): string[][] {
  const inThread = (stage: { readonly bytesPerSecondPerThread: number }): string =>
    `${rate(stage.bytesPerSecondPerThread)} in a thread`
  const { read, digest, open, decompress, write } = stages
  return [
    ['read', rate(read.bytesPerSecond), `${rate(read.packedBytesPerSecond)} packed`],
    ['digest', rate(digest.bytesPerSecond), inThread(digest)],
    ['open', rate(open.bytesPerSecond), inThread(open)],
    ['decompress', rate(decompress.bytesPerSecond), inThread(decompress)],
    ['the three in the threads', rate(allThreads.bytesPerSecond), ''],
    ...(write === undefined ? [] : [['write', rate(write.bytesPerSecond), '']]),
    ['all together', rate(together.bytesPerSecond), ''],
  ]
}

function reachedLines({ reached, limit }: Verdict): string[] {
  const percent = Math.floor(reached * 100)
  if (reached >= REACHED_MIN) return [`all together reach ${percent} % of what it allows`]
  return [
    `all together reach ${percent} % of what ${limit} alone allows: stages are in each other's`,
    'way, as they share processors; more processors help more than is said below',
  ]
}

function changeText({ twice }: Change, { threads, processors }: BenchReport): string {
  if (twice === 'threads') {
    const more = 2 * threads
    return more <= processors ? `--workers ${more}` : `processors for ${counted(more, 'thread')}`
  }
  return twice === 'read' ? 'a source twice as fast' : 'a target twice as fast'
}

function gain({ gain, bytesPerSecond, limit }: Change): string[] {
  if (gain < GAIN_MIN) return ['no gain', '']
  return [rate(bytesPerSecond), `+${Math.floor(gain * 100)} %, then ${limit} is the limit`]
}

function linkRow({ bitsPerSecond, bytesPerSecond, limits }: LinkRate, verdict: Verdict): string[] {
  const link = `a link of ${bits(bitsPerSecond)}`
  if (limits) return [link, rate(bytesPerSecond), 'the link is the limit']
  return [link, rate(bytesPerSecond), `fast enough (from ${bits(verdict.linkBitsPerSecond)})`]
}

/** `100 Mbit/s`, `2.5 Gbit/s`. */
function bits(perSecond: number): string {
  const [value, unit] = perSecond >= 1e9 ? [perSecond / 1e9, 'Gbit'] : [perSecond / 1e6, 'Mbit']
  return `${Number(value.toPrecision(3))} ${unit}/s`
}

/** How long the whole image takes at the rate of all together. */
const wholeImage = ({ dataBytes, together }: BenchReport): string =>
  formatDuration(dataBytes / together.bytesPerSecond)
