/** The order of writes, resuming, and what differs when read back; on the fake disk. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openFileSource } from '../../src/deliver/file.ts'
import { decryptSessionKey } from '../../src/encrypt/session-key.ts'
import { OsflashError } from '../../src/errors.ts'
import { MIB } from '../../src/units.ts'
import type { DiskProgress } from '../../src/unpack/checkpoint.ts'
import { startEngine } from '../../src/unpack/engine.ts'
import { openImage } from '../../src/unpack/image.ts'
import { loadPayloads } from '../../src/unpack/payload.ts'
import { type DiskPlan, planDisk } from '../../src/unpack/plan.ts'
import { type WriteReport, writeDisk } from '../../src/unpack/write-disk.ts'
import { makeFolder, makeKeys, noise, type TestKeys } from '../pack/image/fixtures.ts'
import {
  checkFor,
  type DiskImage,
  differences,
  packDisk,
  type Region,
  regions,
} from './disk-fixtures.ts'
import { type FakeTarget, fakeTarget } from './fake-target.ts'

const BYTES = 20 * MIB
const ONE_FRAME = { frames: 1, zeroedBytes: 2 * MIB }

let keys: TestKeys
beforeAll(async () => {
  keys = await makeKeys()
})

interface Written {
  readonly fake: FakeTarget
  readonly plan: DiskPlan
  readonly report: Promise<WriteReport>
  readonly checkpoint: () => Promise<{ readonly frames: number }>
}

interface Run {
  readonly blank?: boolean
  readonly verify?: boolean
  readonly done?: DiskProgress
  readonly image?: Omit<DiskImage, 'folder'>
  /** What an earlier run left. */
  readonly holding?: readonly Region[]
  readonly before?: (act: string, fake: FakeTarget, plan: DiskPlan) => void
  /** With one thread frames are written in their order. Default: 2. */
  readonly workers?: number
  /** Waited for while zeros are made beside the frames. */
  readonly zeroing?: (signal: AbortSignal) => Promise<void>
  readonly signal?: AbortSignal
}

/** Writes the usual image to a fake disk; `look` sees how it went. */
async function written(options: Run, look: (written: Written) => Promise<void>): Promise<void> {
  await using folder = await makeFolder()
  await using source = await openFileSource(
    await packDisk({ folder: folder.path, ...options.image }, keys),
  )
  const image = await openImage(source, checkFor(keys))
  const sessionKey = await decryptSessionKey(image.keysBytes, [keys.recipient])
  const payloads = await loadPayloads(image)
  const { aead } = image.manifest.encryption
  const signal = options.signal === undefined ? {} : { signal: options.signal }
  const sizes = { workers: options.workers ?? 2, sinkDepth: 2 }
  await using engine = startEngine({ source, payloads, aead, sessionKey, ...sizes, ...signal })
  const plan = planDisk(image.manifest, payloads, { bytes: BYTES })
  const fake = fakeTarget(BYTES, options.blank ?? false)
  for (const { offset, raw } of options.holding ?? []) fake.disk.set(raw, offset)
  fake.before = (act) => options.before?.(act, fake, plan)
  if (options.zeroing !== undefined) fake.zeroing = options.zeroing
  const path = join(folder.path, 'checkpoint')
  const report = writeDisk({
    plan,
    target: fake,
    engine,
    ...(options.done === undefined ? {} : { done: options.done }),
    checkpoint: { path, key: { manifestDigest: 'x', targetBytes: BYTES, targetIdentity: 'y' } },
    verify: options.verify ?? false,
    emit: () => undefined,
    ...signal,
  })
  report.catch(() => undefined)
  const checkpoint = async () => JSON.parse(await readFile(path, 'utf8'))
  await look({ fake, plan, report, checkpoint })
  await report.catch(() => undefined)
}

const isWrite = (act: string): boolean => act.startsWith('write ')
const offsetOf = (act: string): number => Number(act.split(' ')[1])

describe('writeDisk', () => {
  it('wipes both ends first, and writes the first MiB last, the table at the very end', () =>
    written({}, async ({ fake, report }) => {
      await report
      const { log } = fake
      expect(log.slice(0, 3)).toEqual([`zero 0 ${MIB}`, `zero ${BYTES - MIB} ${MIB}`, 'sync'])
      expect(log.slice(-4)).toEqual([
        expect.stringMatching(/^write \d+ \d+$/),
        'sync',
        `write 0 ${34 * 512}`,
        'sync',
      ])
      // Every zero comes before the first write; a flush lies between the body and the head.
      const lastZero = log.findLastIndex((act) => act.startsWith('zero '))
      expect(lastZero).toBeLessThan(log.findIndex(isWrite))
      const firstHead = log.findIndex((act) => isWrite(act) && offsetOf(act) < MIB)
      const body = log.slice(0, firstHead)
      const tail = `write ${BYTES - 33 * 512} ${33 * 512}`
      expect(log.indexOf(tail)).toBeGreaterThan(body.lastIndexOf('sync'))
      expect(differences(fake.disk)).toEqual([])
    }))

  it('neither wipes nor zeroes a disk that is blank', () =>
    written({ blank: true }, async ({ fake, report }) => {
      await report
      expect(fake.log.filter((act) => act.startsWith('zero '))).toEqual([])
      expect(differences(fake.disk)).toEqual([])
    }))

  it('leaves out the frames that an earlier run wrote, and does not wipe again', () =>
    written(
      { done: ONE_FRAME, blank: true, holding: regions() },
      async ({ fake, plan, report }) => {
        expect(await report).toMatchObject({ framesResumed: 1 })
        const first = plan.body[0]?.diskOffset
        expect(fake.log.filter(isWrite).map(offsetOf)).not.toContain(first)
        expect(fake.log.filter((act) => act.startsWith('zero '))).toEqual([])
      },
    ))

  it.each([
    [0, 'zero 9437184 2097152'],
    [MIB, 'zero 10485760 1048576'],
  ])('goes on with the zeros of an earlier run behind byte %i of them', (zeroedBytes, act) => {
    const done = { frames: 1, zeroedBytes }
    return written({ done, holding: regions(), verify: true }, async ({ fake, report }) => {
      await report
      expect(fake.log.filter((entry) => entry.startsWith('zero '))).toEqual([act])
      expect(differences(fake.disk)).toEqual([])
    })
  })

  it('does not say of a range that it is zero before it is', () => {
    const before = (text: string): void => {
      if (text.startsWith('zero 9437184')) throw new OsflashError('io', `failing ${text}`)
    }
    return written({ before }, async ({ report, checkpoint }) => {
      await expect(report).rejects.toThrow(/^failing zero/)
      // There is none when it failed before the first frame was written.
      const seen = await checkpoint().catch(() => ({ zeroedBytes: 0 }))
      expect(seen).toMatchObject({ zeroedBytes: 0 })
    })
  })

  it('a run that fails leaves a checkpoint of what it wrote', () => {
    const before = (text: string, _: FakeTarget, { body }: DiskPlan): void => {
      if (!isWrite(text) || offsetOf(text) !== body.at(-1)?.diskOffset) return
      throw new OsflashError('io', `failing ${text}`)
    }
    return written({ before, workers: 1 }, async ({ fake, plan, report, checkpoint }) => {
      await expect(report).rejects.toThrow(/^failing write/)
      const seen = await checkpoint()
      expect(seen).toMatchObject({ zeroedBytes: 2 * MIB })
      const offsets = fake.log.filter(isWrite).map(offsetOf)
      const counted = plan.body.slice(0, seen.frames).map(({ diskOffset }) => diskOffset)
      expect(offsets).toEqual(expect.arrayContaining(counted))
      expect(fake.log.at(-1)).toBe('sync')
    })
  })

  it('does not wait for the zeros of a large disk when a frame cannot be written', () => {
    const before = (text: string): void => {
      if (isWrite(text)) throw new OsflashError('io', `failing ${text}`)
    }
    let began = false
    const zeroing = async (signal: AbortSignal): Promise<void> => {
      began = true
      if (!signal.aborted) await once(signal, 'abort')
    }
    return written({ before, zeroing }, async ({ report }) => {
      await expect(report).rejects.toThrow(/^failing write/)
      expect(began).toBe(true)
    })
  })

  it('refuses to go on where the frames of an earlier run are not there', () =>
    written({ done: ONE_FRAME, blank: true }, async ({ fake, plan, report }) => {
      await expect(report).rejects.toMatchObject({ code: 'refused' })
      await expect(report).rejects.toThrow(`byte ${plan.body[0]?.diskOffset} is not what`)
      expect(fake.log.filter(isWrite)).toEqual([])
    }))

  it('writes the first page of a disk without a table last, after a flush', () => {
    const raw = noise(12 * MIB, 7)
    const table = { kind: 'none' } as const
    const disk = { sectorBytes: 512, minimumBytes: raw.length, table, partitions: [] } as const
    const image = {
      regions: [{ name: 'disk', offset: 0, raw }],
      disk: { ...disk, partitions: [] },
    }
    return written({ image, blank: true }, async ({ fake, report }) => {
      await report
      expect(fake.log.slice(-5)).toEqual([
        'sync',
        `write 4096 ${4 * MIB - 4096}`,
        'sync',
        'write 0 4096',
        'sync',
      ])
      expect(fake.disk.subarray(0, raw.length).equals(raw)).toBe(true)
    })
  })

  it('writes down only what was flushed', () =>
    written({}, async ({ plan, report, checkpoint, fake }) => {
      await report
      expect((await checkpoint()).frames).toBe(plan.body.length)
      expect(fake.log).toContain('sync')
    }))

  it.each(['write', 'sync', 'zero'])(
    'a %s that fails ends it, before the table is there',
    (act) => {
      const before = (text: string): void => {
        if (text.startsWith(act)) throw new OsflashError('io', `failing ${text}`)
      }
      return written({ before }, async ({ fake, report }) => {
        await expect(report).rejects.toThrow(/^failing /)
        expect(fake.log).not.toContain(`write 0 ${34 * 512}`)
      })
    },
  )

  it('a run that is cancelled leaves a disk without a table', () => {
    const stop = new AbortController()
    const before = (text: string): void => {
      if (isWrite(text)) stop.abort()
    }
    return written({ before, signal: stop.signal }, async ({ fake, report }) => {
      await expect(report).rejects.toMatchObject({ code: 'cancelled' })
      expect(fake.disk.subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true)
    })
  })
})

describe('reading back', () => {
  it('finds nothing on a disk that keeps what it was given', () =>
    written({ verify: true }, async ({ report }) => {
      await expect(report).resolves.toMatchObject({ framesResumed: 0 })
    }))

  /** Changes a byte at the moment when `when` is done. */
  const spoiled = (at: number, when: (act: string) => boolean) => {
    let done = false
    return (act: string, fake: FakeTarget): void => {
      if (done || !when(act)) return
      done = true
      fake.disk.writeUInt8(fake.disk.readUInt8(at) ^ 1, at)
    }
  }
  const flushed = (act: string): boolean => act === 'sync'

  it.each([
    ['a frame of the body', 5 * MIB, 4 * MIB],
    ['a run of zeros', 10 * MIB, undefined],
    ['a frame in the first MiB', 40 * 512 + 5, 40 * 512],
    ['the table', 600, 0],
    ['the backup table', BYTES - 600, BYTES - 33 * 512],
  ])('finds one bit changed in %s, and says where', async (_, at, offset) => {
    let syncs = 0
    // The body is flushed by its checkpoint; head and table after that.
    const late = (act: string): boolean =>
      flushed(act) && ++syncs >= (at < MIB || at > 19 * MIB ? 4 : 2)
    await written({ verify: true, before: spoiled(at, late) }, async ({ fake, report }) => {
      const failure = await report.catch((error: unknown) => error)
      expect(failure).toMatchObject({ code: 'readback' })
      if (offset !== undefined) expect(failure).toMatchObject({ data: { offset } })
      // No flush for another checkpoint: nothing that was counted is believed any more.
      expect(fake.log.filter(flushed)).toHaveLength(syncs)
      expect(fake.log.at(-1)).not.toMatch(/^write/)
    })
  })
})
