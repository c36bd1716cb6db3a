/**
 * What limited a run that is over, from the clocks of its engine. Pure arithmetic.
 *
 * 1. Threads that were busy nearly all the time are the limit: the stage that cost them most.
 *    Making the files of a tree is writing.
 * 2. Else a main thread that was busy nearly all the time is: of its work only the sink takes long
 *    (entries of trees). The end of a read is noticed late then, so reads seem slow and are not.
 * 3. Else threads waited for frames to come or to go: the longer of both waits is the limit. In a
 *    run that reads slowly many reads are under way and the sink is empty, and the other way round.
 *
 * Not promised: a sharp answer where two resources are equally fast; `busy` tells.
 */
import type { StageTimes } from '../stage-times.ts'
import { costliest, type StageName } from './model.ts'

/** Above this the threads are the limit; the rest is the first and the last frames of a run. */
const BUSY_MIN = 0.75

export interface EndedRun {
  readonly stages: StageTimes
  /** Bytes of data that were moved. */
  readonly bytes: number
  /** While frames were moved, flushing included. */
  readonly seconds: number
  readonly flushSeconds: number
  /** Part of these seconds in which the main thread worked, 0 to 1. */
  readonly mainBusy: number
}

export interface RunSplit {
  readonly seconds: number
  readonly bytesPerSecond: number
  /** Part of the threads' time in which they worked, 0 to 1. */
  readonly busy: number
  /** The same of the main thread. */
  readonly mainBusy: number
  /** Seconds in which threads had nothing to do, over all of them. */
  readonly waitingSeconds: number
  readonly limit: StageName
}

/** The split of one run. */
export function splitRun(run: EndedRun): RunSplit {
  const { stages, bytes, seconds, flushSeconds, mainBusy } = run
  const { threads, digest, open, decompress, compare, entries, read, sink } = stages
  const worked = digest + open + decompress + compare + entries
  const all = threads * seconds
  const busy = all === 0 ? 0 : Math.min(1, worked / all)
  const writing = sink + flushSeconds
  const waitedFor = mainBusy < BUSY_MIN && read > writing ? 'read' : 'write'
  return {
    seconds,
    bytesPerSecond: seconds === 0 ? 0 : bytes / seconds,
    busy,
    mainBusy,
    waitingSeconds: Math.max(0, all - worked),
    limit: busy >= BUSY_MIN ? costliestOf(stages) : waitedFor,
  }
}

function costliestOf(stages: StageTimes): StageName {
  const stage = costliest(stages)
  return stages.entries > stages[stage] ? 'write' : stage
}
