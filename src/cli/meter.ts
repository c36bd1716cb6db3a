/**
 * From events to numbers: how far a phase is, how fast, how long it still takes.
 *
 * 1. `note` keeps the last amount and a few samples of the last ten seconds.
 * 2. The rate is that of the samples, so a change of speed shows; at the end it is the mean.
 * 3. `describe` and `summary` make the text that every reader shows.
 *
 * Not promised: a rate in the first half second; it would only be noise.
 */

import type { AmountEvent, ProgressUnit } from '../events.ts'
import { formatBytes, formatDuration } from '../units.ts'
import { counted } from './count.ts'

const WINDOW_MS = 10_000
const SAMPLE_MS = 250
const FIRST_RATE_MS = 500

interface Sample {
  readonly atMs: number
  readonly done: number
}

export class PhaseMeter {
  readonly phase: string
  readonly #startMs: number
  #samples: Sample[]
  #last: AmountEvent | undefined

  constructor(phase: string, nowMs: number) {
    this.phase = phase
    this.#startMs = nowMs
    this.#samples = [{ atMs: nowMs, done: 0 }]
  }

  note(event: AmountEvent, nowMs: number): void {
    this.#last = event
    const newest = this.#samples.at(-1)
    if (newest !== undefined && nowMs - newest.atMs < SAMPLE_MS) return
    this.#samples.push({ atMs: nowMs, done: event.done })
    while ((this.#samples[1]?.atMs ?? nowMs) < nowMs - WINDOW_MS) this.#samples.shift()
  }

  /** 0 to 1; undefined while the total is not known. */
  fraction(): number | undefined {
    if (this.#last === undefined || this.#last.total === 0) return undefined
    return Math.min(1, this.#last.done / this.#last.total)
  }

  /** `writing: 42 % of 4.00 GiB, 812 MiB/s, 5.3 s left` */
  describe(nowMs: number): string {
    if (this.#last === undefined) return this.phase
    const { done, total, unit } = this.#last
    const perSecond = this.#recentRate(nowMs)
    const parts = [
      total === 0
        ? amount(done, unit)
        : `${Math.floor((this.fraction() ?? 0) * 100)} % of ${amount(total, unit)}`,
    ]
    if (perSecond > 0) {
      parts.push(`${rate(perSecond, unit)}`)
      if (total > done) parts.push(`${formatDuration((total - done) / perSecond)} left`)
    }
    return `${this.phase}: ${parts.join(', ')}`
  }

  /** `writing: 4.00 GiB in 5.1 s, 803 MiB/s` */
  summary(seconds: number, failed: boolean): string {
    const verdict = failed ? 'failed after' : 'done in'
    if (this.#last === undefined) return `${this.phase}: ${verdict} ${formatDuration(seconds)}`
    const { done, unit } = this.#last
    const size = amount(done, unit)
    if (failed) return `${this.phase}: ${verdict} ${formatDuration(seconds)} at ${size}`
    const mean = seconds > 0 ? `, ${rate(done / seconds, unit)}` : ''
    return `${this.phase}: ${size} in ${formatDuration(seconds)}${mean}`
  }

  /** Seconds since the phase began. */
  elapsedSeconds(nowMs: number): number {
    return (nowMs - this.#startMs) / 1000
  }

  #recentRate(nowMs: number): number {
    const oldest = this.#samples[0]
    if (oldest === undefined || this.#last === undefined) return 0
    const spanMs = nowMs - oldest.atMs
    return spanMs < FIRST_RATE_MS ? 0 : ((this.#last.done - oldest.done) / spanMs) * 1000
  }
}

function amount(count: number, unit: ProgressUnit): string {
  return unit === 'bytes' ? formatBytes(count) : counted(count, 'item')
}

function rate(perSecond: number, unit: ProgressUnit): string {
  if (unit === 'bytes') return `${formatBytes(Math.round(perSecond))}/s`
  return `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)} items/s`
}
