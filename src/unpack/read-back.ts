/**
 * Reads back what a flush has made safe, and compares it, while later frames are written.
 *
 * 1. Checks are added once their bytes are safe on the disk, never before.
 * 2. A few lanes take them in turn. A check borrows a raw slot of the engine for one read and one
 *    comparison, and waits for nothing else. No write waits for a check, so neither can keep the
 *    other from ending.
 * 3. The first difference stops all lanes; the writer asks for it with each frame.
 *
 * Only references to the plan are kept, so the memory does not grow with what waits.
 */
import { OsflashError, throwIfCancelled } from '../errors.ts'
import type { Engine } from './engine.ts'
import type { DiskRange, PlacedFrame } from './plan.ts'
import type { Target } from './target.ts'

/** Checks at a time while frames are written; the engine has slots for them. */
export const LANES_BESIDE_WRITING = 2

export interface ReadBackOptions {
  readonly target: Target
  readonly engine: Pick<Engine, 'compare' | 'isZero'>
  /** Told of bytes that hold what they should. */
  readonly checked: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

export interface ReadBack {
  frames(frames: Iterable<PlacedFrame>): void
  zeros(pieces: Iterable<DiskRange>): void
  /** @throws the first difference or failure so far */
  throwIfFailed(): void
  /** Lets all lanes end; takes no more checks. Throws nothing. */
  stop(): Promise<void>
  /** Ends all checks, `width` at a time. @throws OsflashError `readback`, `io`, `cancelled` */
  end(width: number): Promise<void>
}

type Check = () => Promise<void>

export function startReadBack(options: ReadBackOptions): ReadBack {
  const waiting: Iterator<Check>[] = []
  const lanes = new Set<Promise<void>>()
  let failures: readonly unknown[] = []
  let stopped = false
  const work = async (): Promise<void> => {
    while (!stopped) {
      const check = nextOf(waiting)
      if (check === undefined) return
      await check()
    }
  }
  const start = (width: number): void => {
    while (lanes.size < width && waiting.length > 0 && !stopped) {
      const lane = work()
        .catch((error: unknown) => {
          stopped = true
          failures = [...failures, error]
        })
        .finally(() => lanes.delete(lane))
      lanes.add(lane)
    }
  }
  const add = (checks: Iterable<Check>): void => {
    waiting.push(checks[Symbol.iterator]())
    start(LANES_BESIDE_WRITING)
  }
  const throwIfFailed = (): void => {
    if (failures.length > 0) throw failures[0]
  }
  return {
    frames: (frames) => add(frameChecks(options, frames)),
    zeros: (pieces) => add(zeroChecks(options, pieces)),
    throwIfFailed,
    stop: async () => {
      stopped = true
      await Promise.all(lanes)
    },
    end: async (width) => {
      start(width)
      await Promise.all(lanes)
      throwIfFailed()
    },
  }
}

function nextOf(waiting: Iterator<Check>[]): Check | undefined {
  for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
    const next = first.next()
    if (!next.done) return next.value
    waiting.shift()
  }
  return undefined
}

function* frameChecks(
  options: ReadBackOptions,
  frames: Iterable<PlacedFrame>,
): Generator<Check, undefined> {
  for (const frame of frames) {
    yield async () => {
      throwIfCancelled(options.signal)
      await checkFrame(options, frame)
      options.checked(frame.job.rawLength)
    }
  }
}

function* zeroChecks(
  options: ReadBackOptions,
  pieces: Iterable<DiskRange>,
): Generator<Check, undefined> {
  const { target, engine, signal } = options
  for (const { offset, length } of pieces) {
    yield async () => {
      throwIfCancelled(signal)
      const held = await engine.isZero(length, (raw) => target.read(offset, raw))
      if (!held) throw differs(target, offset)
      options.checked(length)
    }
  }
}

/** @throws OsflashError `readback`, `io` */
export async function checkFrame(
  { target, engine }: Pick<ReadBackOptions, 'target' | 'engine'>,
  { job, diskOffset }: PlacedFrame,
): Promise<void> {
  const held = await engine.compare(job, (raw) => target.read(diskOffset, raw))
  if (!held) throw differs(target, diskOffset)
}

/** The error of bytes that are not what was written. */
export function differs(target: Pick<Target, 'path'>, offset: number): OsflashError {
  return new OsflashError(
    'readback',
    `reading back ${target.path} at byte ${offset}: it is not what was written`,
    {
      data: { path: target.path, offset },
      hints: ['the disk is failing, or something else writes to it; use another disk'],
    },
  )
}

/** Whether the disk did not hold what was written: nothing that a flush said of it counts. */
export function isReadBackFault(error: unknown): boolean {
  return error instanceof OsflashError && error.code === 'readback'
}
