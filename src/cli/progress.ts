/**
 * The readers of progress events.
 *
 * 1. `--json`: one line of JSON per event on standard error, amounts at most ten a second.
 * 2. A terminal: a live line per open phase (live.ts).
 * 3. Otherwise plain lines: one when a phase ends, and while it runs one for every 10 % or 5 s.
 *    A phase of less than a second has none: in a log it would only be noise.
 *
 * A reader holds results back while a live line is on the screen (`whenClear`); `close` ends the
 * display on every way out.
 */

import type { AmountEvent, Emit, ProgressEvent } from '../events.ts'
import { PhaseMeter } from './meter.ts'
import type { TextWriter } from './verb.ts'

export interface ProgressReader {
  readonly emit: Emit
  /** Runs the write now, or as soon as no live line is in the way. */
  whenClear(write: () => void): void
  close(): Promise<void>
}

/** Milliseconds that only grow. */
export type ClockMs = () => number

const JSON_GAP_MS = 100
const PLAIN_STEPS = 10
const PLAIN_GAP_MS = 5_000
/** Ten steps of a phase that takes less than this are no news. */
const PLAIN_QUIET_MS = 1_000
const PLAIN_SHORT_SECONDS = 1

const closed = { whenClear: (write: () => void) => write(), close: async () => undefined }

/** One JSON object a line; see `ProgressEvent` for the fields. */
export function jsonProgress(stderr: TextWriter, nowMs: ClockMs): ProgressReader {
  const lastMs = new Map<string, number>()
  const tooSoon = (event: AmountEvent): boolean => {
    const now = nowMs()
    const wait = now - (lastMs.get(event.phase) ?? Number.NEGATIVE_INFINITY) < JSON_GAP_MS
    if (wait && event.done !== event.total) return true
    lastMs.set(event.phase, now)
    return false
  }
  const emit = (event: ProgressEvent): void => {
    if (event.event === 'progress' && tooSoon(event)) return
    stderr.write(`${JSON.stringify(event)}\n`)
  }
  return { ...closed, emit }
}

/** Lines for a log. */
export function plainProgress(stderr: TextWriter, nowMs: ClockMs): ProgressReader {
  const phases = new Map<string, PlainPhase>()
  const emit = (event: ProgressEvent): void => {
    if (event.event === 'note') {
      stderr.write(`${event.text}\n`)
      return
    }
    const phase = phases.get(event.phase) ?? new PlainPhase(event.phase, nowMs())
    phases.set(event.phase, phase)
    if (event.event === 'progress') {
      const line = phase.advance(event, nowMs())
      if (line !== undefined) stderr.write(`${line}\n`)
    } else if (event.state === 'end') {
      const seconds = event.seconds ?? phase.meter.elapsedSeconds(nowMs())
      phases.delete(event.phase)
      if (seconds < PLAIN_SHORT_SECONDS) return
      stderr.write(`${phase.meter.summary(seconds, event.failed === true)}\n`)
    }
  }
  return { ...closed, emit }
}

class PlainPhase {
  readonly meter: PhaseMeter
  #lineMs: number
  #lineStep = 0

  constructor(phase: string, nowMs: number) {
    this.meter = new PhaseMeter(phase, nowMs)
    this.#lineMs = nowMs
  }

  /** The line to print, if it is time for one; the last amount is left to the summary. */
  advance(event: AmountEvent, nowMs: number): string | undefined {
    this.meter.note(event, nowMs)
    const fraction = this.meter.fraction() ?? 0
    const gapMs = nowMs - this.#lineMs
    const step = Math.floor(fraction * PLAIN_STEPS)
    const further = step > this.#lineStep && gapMs >= PLAIN_QUIET_MS
    if ((!further && gapMs < PLAIN_GAP_MS) || fraction === 1) return undefined
    this.#lineMs = nowMs
    this.#lineStep = step
    return this.meter.describe(nowMs)
  }
}
