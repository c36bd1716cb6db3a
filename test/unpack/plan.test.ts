/** Plans: what is written where and when, and what is refused. */
import { describe, expect, it } from 'vitest'
import type { DiskLayout, Manifest } from '../../src/format/manifest.ts'
import { GIB, KIB, MIB } from '../../src/units.ts'
import type { LoadedPayload } from '../../src/unpack/payload.ts'
import { appendedRange, checkPlan, type DiskPlan, planDisk } from '../../src/unpack/plan.ts'
import { gptLayout, LINUX, partition } from './disk-fixtures.ts'

const FRAME = 4 * MIB
const zeros = '0'.repeat(64)

/** A payload of 2 frames of data, 1 MiB of zeros, and a frame that is no whole page. */
function payload(name: string, offsetBytes: number): LoadedPayload {
  const frame = (rawOffset: number, rawLength: number) => ({
    rawOffset,
    rawLength,
    packedLength: 1_000,
    digest: new Uint8Array(32),
  })
  const rawBytes = 2 * FRAME + MIB + 512
  const segment = {
    name: `payloads/${name}.000.zst.pgp`,
    contentOffset: 10_240,
    geometry: {
      memberBytes: 3_082,
      chunkOctet: 12,
      chunkBytes: 262_144,
      chunkCount: 1,
      plaintextBytes: 3_012,
    },
    salt: new Uint8Array(32),
    firstFrame: 0,
    frameCount: 3,
    firstBlock: 0,
  }
  return {
    entry: {
      name,
      place: { kind: 'region', offsetBytes },
      rawBytes,
      codec: 'zstd',
      index: {
        bytes: 1,
        sha256: zeros,
        contentBytes: 1,
        contentDigest: zeros,
        blocksDigest: zeros,
      },
      segments: [],
    },
    index: {
      rawBytes,
      extents: [
        { offset: 0, length: 2 * FRAME, kind: 'data' },
        { offset: 2 * FRAME, length: MIB, kind: 'zero' },
        { offset: 2 * FRAME + MIB, length: 512, kind: 'data' },
      ],
      frames: [frame(0, FRAME), frame(FRAME, FRAME), frame(2 * FRAME + MIB, 512)],
      segmentFrames: [3],
    },
    segments: [segment],
    codec: 'zstd',
    blockDigests: new SharedArrayBuffer(32),
    frameDigests: new SharedArrayBuffer(96),
  }
}

function manifest(disk?: DiskLayout): Manifest {
  return {
    format: 'osflash-image/1',
    name: 'test',
    sequence: 1,
    created: '2023-11-14T22:13:20Z',
    os: { family: 'linux' },
    architecture: 'x86_64',
    firmware: [],
    ...(disk === undefined ? {} : { disk }),
    encryption: { cipher: 'aes256', aead: 'ocb', chunkOctet: 12 },
    payloads: [],
  }
}

/** The plan as lines. */
function lines(plan: DiskPlan): string[] {
  return [
    ...plan.layout.partitions.map(
      ({ number, firstLba, sectors }) => `partition ${number}: ${firstLba} + ${sectors}`,
    ),
    ...plan.zero.map(({ offset, length }) => `zero ${offset} + ${length}`),
    ...plan.body.map(({ job, diskOffset }) => `body ${diskOffset} + ${job.rawLength}`),
    ...plan.head.map(({ job, diskOffset }) => `head ${diskOffset} + ${job.rawLength}`),
    ...(plan.tail === undefined ? [] : [`tail ${plan.tail.offset} + ${plan.tail.bytes.length}`]),
    ...(plan.table === undefined
      ? []
      : [`table ${plan.table.offset} + ${plan.table.bytes.length}`]),
    `data ${plan.dataBytes}`,
  ]
}

const plan = (disk: DiskLayout, bytes: number, at = 4 * MIB): DiskPlan =>
  planDisk(manifest(disk), [payload('root', at)], { bytes })

describe('planDisk', () => {
  it('keeps what is not aligned, and what lies in the first MiB, for the end', () => {
    expect(lines(plan(gptLayout(), 16 * MIB))).toMatchInlineSnapshot(`
      [
        "partition 1: 40 + 2008",
        "partition 2: 2048 + 6144",
        "partition 3: 8192 + 24543",
        "zero 12582912 + 1048576",
        "body 4194304 + 4194304",
        "body 8388608 + 4194304",
        "head 13631488 + 512",
        "tail 16760320 + 16896",
        "table 0 + 17408",
        "data 8389120",
      ]
    `)
    expect(
      lines(plan(gptLayout(), 16 * MIB, 512 * KIB)).filter((line) => line.startsWith('head')),
    ).toEqual([`head ${512 * KIB} + ${FRAME}`, `head ${512 * KIB + 2 * FRAME + MIB} + 512`])
  })

  it('gives a larger disk to the partition that grows, up to a whole MiB', () => {
    const grown = plan(gptLayout(), 10 * GIB + 12_345 * 512)
    expect(lines(grown)).toMatchInlineSnapshot(`
      [
        "partition 1: 40 + 2008",
        "partition 2: 2048 + 6144",
        "partition 3: 8192 + 20975616",
        "zero 12582912 + 1048576",
        "body 4194304 + 4194304",
        "body 8388608 + 4194304",
        "head 13631488 + 512",
        "tail 10743721984 + 16896",
        "table 0 + 17408",
        "data 8389120",
      ]
    `)
    const [, , last] = grown.layout.partitions
    expect((((last?.firstLba ?? 0) + (last?.sectors ?? 0)) * 512) % MIB).toBe(0)
    checkPlan(grown)
  })

  it('appends a partition for the rest of the disk; then nothing grows', () => {
    const append = { name: 'store', type: LINUX, guid: '11111111-2222-4333-8444-555555555555' }
    const target = { bytes: 10 * GIB + 12_345 * 512, append }
    const made = planDisk(manifest(gptLayout()), [payload('root', 4 * MIB)], target)
    checkPlan(made)
    expect(lines(made).slice(0, 4)).toEqual([
      'partition 1: 40 + 2008',
      'partition 2: 2048 + 6144',
      'partition 3: 8192 + 24543',
      `partition 4: ${16 * 2_048} + 20951040`,
    ])
    expect(made.layout.partitions.at(-1)).toMatchObject(append)
    const { offset, length } = appendedRange(gptLayout(), target.bytes)
    expect([offset, (offset + length) % MIB]).toEqual([16 * MIB, 0])
  })

  it('refuses to append where there is no GPT, or no room', () => {
    const mbr: DiskLayout = { ...gptLayout(), table: { kind: 'mbr', diskId: '00000001' } }
    expect(() => appendedRange(mbr, GIB)).toThrow(/only a GPT takes one more partition/)
    expect(() => appendedRange(gptLayout(), 17 * MIB)).toThrow(/no room behind the image/)
    expect(appendedRange(gptLayout(), 18 * MIB).length).toBe(MIB)
  })

  it('never shrinks a partition to reach a whole MiB', () => {
    const [, , last] = plan(gptLayout(), 16 * MIB).layout.partitions
    expect(last?.sectors).toBe(16 * 2_048 - 33 - 8_192)
  })

  it('ends an MBR where its numbers end', () => {
    const { guid: _, ...rest } = { ...partition(1, 2_048, 4_096), type: '83', grow: true }
    const mbr: DiskLayout = {
      sectorBytes: 512,
      minimumBytes: 16 * MIB,
      table: { kind: 'mbr', diskId: '00000001' },
      partitions: [rest],
    }
    expect(plan(mbr, 4 * 1_024 * GIB).layout.partitions[0]?.sectors).toBe(2 ** 32 - 2_048)
    expect(lines(plan(mbr, 16 * MIB)).at(-2)).toBe('table 0 + 512')
  })

  it('writes no table where a payload holds the whole disk', () => {
    const none: DiskLayout = {
      sectorBytes: 512,
      minimumBytes: 16 * MIB,
      table: { kind: 'none' },
      partitions: [],
    }
    const whole = plan(none, 16 * MIB, 0)
    expect([whole.table, whole.tail]).toEqual([undefined, undefined])
    expect(whole.head[0]?.diskOffset).toBe(0)
  })

  it('merges zeros of neighbours', () => {
    const first = payload('a', 0)
    const second = payload('b', 0)
    const zero = (at: number, one: LoadedPayload): LoadedPayload => ({
      ...one,
      entry: { ...one.entry, place: { kind: 'region', offsetBytes: at } },
      index: { ...one.index, extents: [{ offset: 0, length: MIB, kind: 'zero' }] },
      segments: [],
    })
    const payloads = [zero(5 * MIB, second), zero(4 * MIB, first)]
    const merged = planDisk(manifest(gptLayout()), payloads, { bytes: 16 * MIB })
    expect(merged.zero).toEqual([{ offset: 4 * MIB, length: 2 * MIB }])
  })

  it.each([
    ['a disk that is too small', { bytes: 16 * MIB - 512 }, /the target has 16.0 MiB/],
    ['other sectors', { bytes: GIB, sectorBytes: 4_096 }, /sectors of 4096 bytes, the image 512/],
  ])('refuses %s', (_, target, message) => {
    const work = () => planDisk(manifest(gptLayout()), [], target)
    expect(work).toThrow(expect.objectContaining({ code: 'refused' }))
    expect(work).toThrow(message)
  })

  it('refuses an image of trees', () => {
    expect(() => planDisk(manifest(), [], { bytes: GIB })).toThrow(/it holds a tree/)
  })
})

describe('checkPlan', () => {
  it('refuses two writes to one byte, and a write behind the disk', () => {
    const right = plan(gptLayout(), 16 * MIB)
    expect(() => checkPlan(right)).not.toThrow()
    const zero = [...right.zero, { offset: 4 * MIB + 1, length: 1 }]
    expect(() => checkPlan({ ...right, zero })).toThrow(/two writes overlap at byte 4194305/)
    expect(() => checkPlan({ ...right, diskBytes: 16 * MIB - 1 })).toThrow(/behind the disk/)
  })

  it('refuses a payload that reaches into the backup table', () => {
    const late = plan(gptLayout(), 16 * MIB, 7 * MIB - 512)
    expect(() => checkPlan(late)).toThrow(/overlap/)
  })
})
