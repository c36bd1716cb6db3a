/**
 * Where the time of one run of `unpack` went: what `--stats` reports.
 *
 * 1. Phases: their seconds, from the events that the stages emit anyway.
 * 2. Threads and frames: the clocks of the engine, judged by unpack/bench/run-split.ts.
 * 3. The main thread: how long its event loop was busy while frames were moved.
 * 4. Start: from the start of the process to that of the stages; memory: its peak, from the kernel.
 */
import type { Emit } from '../events.ts'
import { type RunSplit, splitRun } from '../unpack/bench/run-split.ts'
import type { StageTimes } from '../unpack/stage-times.ts'

/** Phases in which frames are moved; a flush is writing that was put off. */
const MOVING = ['writing', 'extracting', 'flushing']

/** All seconds; bytes as they are. Plain data for `--json`. */
export interface RunStats {
  readonly startSeconds: number
  readonly phases: Readonly<Record<string, number>>
  readonly stages: StageTimes
  readonly split: RunSplit
  readonly peakBytes: number
}

export interface StatsCollector {
  /** Give this to the stages. */
  readonly emit: Emit
  /** @param bytes bytes of data that were moved */
  finish(stages: StageTimes, bytes: number): RunStats
}

/** Call it where the stages start. */
export function collectStats(emit: Emit): StatsCollector {
  // The clock starts with the process.
  const startSeconds = performance.now() / 1_000
  const phases: Record<string, number> = {}
  let loopBefore = performance.eventLoopUtilization()
  let activeMs = 0
  return {
    emit: (event) => {
      if (event.event === 'phase') {
        const loop = performance.eventLoopUtilization()
        if (event.state === 'end') {
          phases[event.phase] = (phases[event.phase] ?? 0) + (event.seconds ?? 0)
          if (MOVING.includes(event.phase)) activeMs += loop.active - loopBefore.active
        }
        loopBefore = loop
      }
      emit(event)
    },
    finish: (stages, bytes) => {
      const seconds = MOVING.reduce((sum, phase) => sum + (phases[phase] ?? 0), 0)
      const flushSeconds = phases.flushing ?? 0
      const mainBusy = seconds === 0 ? 0 : Math.min(1, activeMs / 1_000 / seconds)
      const split = splitRun({ stages, bytes, seconds, flushSeconds, mainBusy })
      const peakBytes = process.resourceUsage().maxRSS * 1_024
      return { startSeconds, phases, stages, split, peakBytes }
    },
  }
}
