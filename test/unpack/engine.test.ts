/** The engine: failures in source and sink, cancelling, slots that bound what is under way. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openFileSource } from '../../src/deliver/file.ts'
import type { Source } from '../../src/deliver/source.ts'
import { decryptSessionKey } from '../../src/encrypt/session-key.ts'
import { OsflashError } from '../../src/errors.ts'
import { KIB, MIB } from '../../src/units.ts'
import { type Engine, startEngine } from '../../src/unpack/engine.ts'
import { type FrameJob, frameJobs, slotSizes } from '../../src/unpack/frame-job.ts'
import { openImage } from '../../src/unpack/image.ts'
import { type LoadedPayload, loadPayloads } from '../../src/unpack/payload.ts'
import { makeFolder, makeKeys, noise, type TestKeys } from '../pack/image/fixtures.ts'
import { checkFor, gptLayout, packDisk } from './disk-fixtures.ts'

const FRAMES = 12
const raw = Buffer.concat([noise((FRAMES - 1) * 4 * MIB, 1), noise(100 * KIB, 2)])

let keys: TestKeys
let folder: Awaited<ReturnType<typeof makeFolder>>
let path = ''
beforeAll(async () => {
  keys = await makeKeys()
  folder = await makeFolder()
  const regions = [{ name: 'root', offset: 4 * MIB, raw }]
  path = await packDisk({ folder: folder.path, regions, disk: gptLayout(64 * MIB) }, keys)
})
afterAll(() => folder[Symbol.asyncDispose]())

interface Running {
  readonly engine: Engine
  readonly payload: LoadedPayload
  readonly jobs: readonly FrameJob[]
}

interface Setup {
  readonly source?: (source: Source) => Source
  readonly signal?: AbortSignal
  readonly sessionKey?: Uint8Array
}

/** Starts an engine with two workers and a sink of depth two. */
async function withEngine(setup: Setup, work: (running: Running) => Promise<void>): Promise<void> {
  await using file = await openFileSource(path)
  const image = await openImage(file, checkFor(keys))
  const payloads = await loadPayloads(image)
  const sessionKey =
    setup.sessionKey ?? (await decryptSessionKey(image.keysBytes, [keys.recipient]))
  await using engine = startEngine({
    source: setup.source?.(file) ?? file,
    payloads,
    aead: image.manifest.encryption.aead,
    sessionKey,
    workers: 2,
    sinkDepth: 2,
    ...(setup.signal === undefined ? {} : { signal: setup.signal }),
  })
  const [payload] = payloads
  if (payload === undefined) throw new Error('no payload')
  await work({ engine, payload, jobs: [...frameJobs(payload, 0)] })
}

/** A source that changes or fails what is read once `after` ranges were read. */
function failing(source: Source, after: number, fail: (into: Uint8Array) => void): Source {
  let reads = 0
  return {
    ...source,
    read: async (offset, into) => {
      await source.read(offset, into)
      reads += 1
      if (reads > after) fail(into)
    },
  }
}

describe('the engine', () => {
  it('gives every frame once, with its raw bytes', () =>
    withEngine({}, async ({ engine, jobs }) => {
      const seen = Buffer.alloc(raw.length)
      let frames = 0
      const sink = async (job: FrameJob, bytes: Uint8Array): Promise<void> => {
        seen.set(bytes, job.rawOffset)
        frames += 1
      }
      await engine.run({ jobs, sink, checkRaw: true })
      expect(frames).toBe(FRAMES)
      expect(seen.equals(raw)).toBe(true)
      const { threads, entries, ...seconds } = engine.stages()
      expect({ threads, entries }).toEqual({ threads: 2, entries: 0 })
      expect(Object.entries(seconds).filter(([, spent]) => !(spent > 0))).toEqual([])
    }))

  it('never has more frames with the sink than there are slots', () =>
    withEngine({}, async ({ engine, jobs }) => {
      let now = 0
      let most = 0
      const sink = async (): Promise<void> => {
        now += 1
        most = Math.max(most, now)
        await new Promise((resolve) => setTimeout(resolve, 5))
        now -= 1
      }
      await engine.run({ jobs, sink })
      // Two threads, three that are read ahead, and the depth of the sink.
      expect(most).toBeLessThanOrEqual(7)
    }))

  it('ends with the error of the sink, once, and can be used again', () =>
    withEngine({}, async ({ engine, jobs }) => {
      const told: unknown[] = []
      let calls = 0
      const sink = async (): Promise<void> => {
        calls += 1
        throw new OsflashError('io', `writing frame: no space left`)
      }
      const run = engine.run({ jobs, sink, onFailure: (reason) => told.push(reason) })
      await expect(run).rejects.toThrow('no space left')
      expect(told).toHaveLength(1)
      expect(calls).toBeLessThan(FRAMES)
      await expect(engine.run({ jobs, sink: async () => undefined })).resolves.toBeUndefined()
    }))

  it('ends with the error of the source', () => {
    const source = (file: Source): Source =>
      failing(file, 3, () => {
        throw new OsflashError('io', 'reading a.osimg at byte 7: input/output error')
      })
    return withEngine({ source }, async ({ engine, jobs }) => {
      const run = engine.run({ jobs, sink: async () => undefined })
      await expect(run).rejects.toThrow('input/output error')
    })
  })

  it('gives nothing of a frame whose block was changed on its way', () => {
    const source = (file: Source): Source =>
      failing(file, 5, (into) => {
        into[100] = (into[100] ?? 0) ^ 1
      })
    return withEngine({ source }, async ({ engine, jobs }) => {
      const given: number[] = []
      const run = engine.run({ jobs, sink: async ({ frame }) => void given.push(frame) })
      await expect(run).rejects.toMatchObject({ code: 'digest' })
      await expect(run).rejects.toThrow(/payloads\/root\.000\.zst\.pgp, block \d+/)
      expect(given.every((frame) => frame < 5)).toBe(true)
    })
  })

  it('says decryption, not digest, when the key is another', () =>
    withEngine({ sessionKey: Buffer.alloc(32, 1) }, async ({ engine, jobs }) => {
      const run = engine.run({ jobs, sink: async () => undefined })
      await expect(run).rejects.toMatchObject({ code: 'decryption' })
    }))

  it('stops when it is cancelled', () => {
    const stop = new AbortController()
    return withEngine({ signal: stop.signal }, async ({ engine, jobs }) => {
      let frames = 0
      const sink = async (): Promise<void> => {
        frames += 1
        stop.abort()
      }
      await expect(engine.run({ jobs, sink })).rejects.toMatchObject({ code: 'cancelled' })
      expect(frames).toBeLessThan(FRAMES)
    })
  })

  it('compares frames and zeros', () =>
    withEngine({}, async ({ engine, jobs }) => {
      const [job] = jobs
      if (job === undefined) throw new Error('no job')
      const right = async (into: Uint8Array): Promise<void> =>
        into.set(raw.subarray(0, into.length))
      const wrong = async (into: Uint8Array): Promise<void> => {
        await right(into)
        into[into.length - 1] = (into.at(-1) ?? 0) ^ 1
      }
      expect(await engine.compare(job, right)).toBe(true)
      expect(await engine.compare(job, wrong)).toBe(false)
      expect(await engine.isZero(MIB + 1, async (into) => void into.fill(0))).toBe(true)
      const last = async (into: Uint8Array): Promise<void> => void into.fill(0).fill(1, MIB)
      expect(await engine.isZero(MIB + 1, last)).toBe(false)
    }))
})

describe('frame jobs', () => {
  it('read the blocks of their chunks and no more, in the order of the image', () =>
    withEngine({}, async ({ payload, jobs }) => {
      const [segment] = payload.segments
      if (segment === undefined) throw new Error('no segment')
      const { chunkBytes, chunkCount, memberBytes } = segment.geometry
      expect(jobs[0]).toMatchObject({ firstChunk: 0, plainSkip: 12 })
      expect(jobs.at(-1)?.lastChunk).toBe(chunkCount - 1)
      let plain = 12
      for (const job of jobs) {
        expect(job.firstChunk).toBe(Math.floor(plain / chunkBytes))
        expect(job.firstChunk * chunkBytes + job.plainSkip).toBe(plain)
        plain += job.packedLength
        expect(job.lastChunk).toBe(Math.floor((plain - 1) / chunkBytes))
        expect(job.imageOffset + job.sealedBytes).toBeLessThanOrEqual(
          segment.contentOffset + memberBytes,
        )
      }
      const sizes = slotSizes([payload])
      expect(sizes.rawBytes).toBe(4 * MIB)
      expect(sizes.sealedBytes).toBe(Math.max(...jobs.map((job) => job.sealedBytes)))
      expect(slotSizes([])).toEqual({ sealedBytes: 1, openedBytes: 1, rawBytes: 1 })
    }))
})
