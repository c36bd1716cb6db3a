/** Reading back beside the writing: what is checked, when, how many at a time; what stops it. */
import { describe, expect, it } from 'vitest'
import type { Engine } from '../../src/unpack/engine.ts'
import type { FrameJob } from '../../src/unpack/frame-job.ts'
import type { PlacedFrame } from '../../src/unpack/plan.ts'
import {
  LANES_BESIDE_WRITING,
  type ReadBack,
  type ReadBackOptions,
  startReadBack,
} from '../../src/unpack/read-back.ts'
import { fakeTarget } from './fake-target.ts'

const JOB: FrameJob = {
  payload: 0,
  segment: 0,
  frame: 0,
  firstChunk: 0,
  lastChunk: 0,
  imageOffset: 0,
  sealedBytes: 1,
  plainSkip: 0,
  packedLength: 1,
  rawLength: 10,
  rawOffset: 0,
}

const frames = (count: number, from = 0): PlacedFrame[] =>
  Array.from({ length: count }, (_, n) => ({
    job: { ...JOB, frame: from + n },
    diskOffset: (from + n) * 10,
  }))

interface Comparison {
  readonly frame: number
  readonly answer: (equal: boolean) => void
}

interface Test {
  readonly readBack: ReadBack
  /** Comparisons under way. */
  readonly begun: Comparison[]
  readonly zeros: number[]
  readonly checked: () => number
}

/** An engine whose comparisons end when told; runs of zeros are as `holdsZeros` says. */
function makeTest(options: { holdsZeros?: boolean; signal?: AbortSignal } = {}): Test {
  const begun: Comparison[] = []
  const zeros: number[] = []
  let bytes = 0
  const engine: ReadBackOptions['engine'] = {
    compare: (job, _read) => new Promise((answer) => begun.push({ frame: job.frame, answer })),
    isZero: async (length, _read) => {
      zeros.push(length)
      return options.holdsZeros ?? true
    },
  } satisfies Pick<Engine, 'compare' | 'isZero'>
  const readBack = startReadBack({
    target: fakeTarget(1_000, false),
    engine,
    checked: (length) => {
      bytes += length
    },
    signal: options.signal,
  })
  return { readBack, begun, zeros, checked: () => bytes }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Answers the comparisons under way until there are none; gives the frames. */
async function answerAll(begun: Comparison[], equal = true): Promise<number[]> {
  const seen: number[] = []
  while (begun.length > 0) {
    for (const one of begun.splice(0)) {
      seen.push(one.frame)
      one.answer(equal)
    }
    await turn()
  }
  return seen
}

describe('reading back', () => {
  it('begins with what is safe, a few at a time, and takes more as it comes', async () => {
    const { readBack, begun, checked } = makeTest()
    await turn()
    expect(begun).toEqual([])
    readBack.frames(frames(5))
    readBack.frames(frames(1, 5))
    await turn()
    expect(begun).toHaveLength(LANES_BESIDE_WRITING)
    expect(await answerAll(begun)).toEqual([0, 1, 2, 3, 4, 5])
    readBack.frames(frames(1, 6))
    await turn()
    expect(await answerAll(begun)).toEqual([6])
    await readBack.end(4)
    expect(checked()).toBe(70)
  })

  it('does the rest with as many as are asked for, frames and zeros', async () => {
    const { readBack, begun, zeros, checked } = makeTest()
    readBack.frames(frames(8))
    readBack.zeros([{ offset: 500, length: 33 }])
    const end = readBack.end(6)
    await turn()
    expect(begun).toHaveLength(6)
    await answerAll(begun)
    await end
    expect(zeros).toEqual([33])
    expect(checked()).toBe(113)
  })

  it('stops at the first difference, says where, and checks nothing more', async () => {
    const { readBack, begun } = makeTest()
    readBack.frames(frames(8, 1))
    await turn()
    expect(() => readBack.throwIfFailed()).not.toThrow()
    expect(await answerAll(begun, false)).toEqual([1, 2])
    expect(() => readBack.throwIfFailed()).toThrow(/at byte 10: it is not what was written/)
    readBack.frames(frames(1, 20))
    await expect(readBack.end(4)).rejects.toMatchObject({ code: 'readback' })
    expect(begun).toEqual([])
  })

  it('finds a range that is not zero', async () => {
    const { readBack } = makeTest({ holdsZeros: false })
    readBack.zeros([{ offset: 512, length: 8 }])
    await expect(readBack.end(1)).rejects.toMatchObject({ code: 'readback', data: { offset: 512 } })
  })

  it('waits for what is under way when it is stopped, and begins no more', async () => {
    const { readBack, begun } = makeTest()
    readBack.frames(frames(9))
    await turn()
    let stopped = false
    const stop = readBack.stop().then(() => {
      stopped = true
    })
    await turn()
    expect(stopped).toBe(false)
    expect(await answerAll(begun)).toEqual([0, 1])
    await stop
    expect(() => readBack.throwIfFailed()).not.toThrow()
  })

  it('ends when the run is cancelled', async () => {
    const { readBack } = makeTest({ signal: AbortSignal.abort() })
    readBack.frames(frames(3))
    await expect(readBack.end(2)).rejects.toMatchObject({ code: 'cancelled' })
  })
})
