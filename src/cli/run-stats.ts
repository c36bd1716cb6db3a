/**
 * Where the time of one run of `unpack` went: what `--stats` reports.
 *
 * 1. Phases: their seconds, from the events that the stages emit anyway.
 * 2. Threads and frames: the clocks of the engine, judged by unpack/bench/run-split.ts over the
 *    time in which at least one phase moved frames. Such phases may overlap.
 * 3. The main thread: how long its event loop was busy in that time.
 * 4. Start: from the start of the process to that of the stages; memory: its peak, from the kernel.
 */
import type { Emit, PhaseEvent } from '../events.ts'
import { type RunSplit, splitRun } from '../unpack/bench/run-split.ts'
import type { StageTimes } from '../unpack/stage-times.ts'

/** Phases in which threads work on frames; a flush is writing that was put off. */
const MOVING = ['writing', 'extracting', 'zeroing', 'flushing', 'verifying']

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

/** Milliseconds since the process started, and those in which its event loop was busy. */
export interface MainClock {
  nowMs(): number
  activeMs(): number
}

const PROCESS_CLOCK: MainClock = {
  nowMs: () => performance.now(),
  activeMs: () => performance.eventLoopUtilization().active,
}

/** Call it where the stages start. */
export function collectStats(emit: Emit, clock: MainClock = PROCESS_CLOCK): StatsCollector {
  const startSeconds = clock.nowMs() / 1_000
  const phases: Record<string, number> = {}
  const moving = { open: 0, sinceMs: 0, activeSinceMs: 0, ms: 0, activeMs: 0 }
  const move = ({ state }: PhaseEvent): void => {
    const [now, active] = [clock.nowMs(), clock.activeMs()]
    if (moving.open > 0) {
      moving.ms += now - moving.sinceMs
      moving.activeMs += active - moving.activeSinceMs
    }
    moving.sinceMs = now
    moving.activeSinceMs = active
    moving.open += state === 'start' ? 1 : -1
  }
  return {
    emit: (event) => {
      if (event.event === 'phase') {
        if (MOVING.includes(event.phase)) move(event)
        if (event.state === 'end') {
          phases[event.phase] = (phases[event.phase] ?? 0) + (event.seconds ?? 0)
        }
      }
      emit(event)
    },
    finish: (stages, bytes) => {
      const seconds = moving.ms / 1_000
      const flushSeconds = phases.flushing ?? 0
      const mainBusy = moving.ms === 0 ? 0 : Math.min(1, moving.activeMs / moving.ms)
      const split = splitRun({ stages, bytes, seconds, flushSeconds, mainBusy })
      const peakBytes = process.resourceUsage().maxRSS * 1_024
      return { startSeconds, phases, stages, split, peakBytes }
    },
  }
}
