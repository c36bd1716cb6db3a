/** Manifest, settings and report: what is decided and said besides the payloads. */
import { availableParallelism } from 'node:os'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ProgressEvent } from '../../../src/events.ts'
import { parseManifest } from '../../../src/format/manifest-bytes.ts'
import { describeImage, draftManifest, listMembers } from '../../../src/pack/image/describe.ts'
import { reportOf, timedEmit } from '../../../src/pack/image/report.ts'
import { makeSetup, settle } from '../../../src/pack/image/settings.ts'
import type { ImageSource } from '../../../src/pack/source.ts'
import { makeKeys, makeOptions, range, type TestKeys } from './fixtures.ts'

const packing = { codec: 'zstd', aead: 'ocb', chunkOctet: 12 } as const
const digest = 'ab'.repeat(32)

const source: ImageSource = {
  name: 'debian',
  sequence: 7,
  created: '2023-11-14T22:13:20Z',
  expires: '2030-01-01T00:00:00Z',
  os: { family: 'linux', id: 'debian' },
  architecture: 'x86_64',
  firmware: ['bios', 'uefi'],
  payloads: ['efi', 'root'].map((name) => ({
    name,
    place: { kind: 'tree', entries: 3 },
    path: `/${name}`,
    range: range(0, 100),
    unused: [],
  })),
}

const described = (segments: number) => ({
  rawBytes: 100,
  index: {
    bytes: 6,
    sha256: digest,
    contentBytes: 4,
    contentDigest: digest,
    blocksDigest: digest,
  },
  segments: Array.from({ length: segments }, (_, i) => ({
    bytes: 1_000 + i,
    plainBytes: 900,
    sha256: digest,
  })),
})

const packed = (segments: number, at: number) => ({
  described: described(segments),
  index: [Buffer.from('head'), Buffer.from('bl')] as const,
  places: Array.from({ length: segments }, (_, i) => at + 5_000 * i),
  frames: 3 * segments,
  dataBytes: 50 * segments,
})

describe('describeImage', () => {
  it('takes everything from the source but paths, and fits the schema', () => {
    const bytes = describeImage(source, packing, [described(1), described(2)])
    const manifest = parseManifest(bytes)
    const { payloads, ...head } = source
    expect(manifest).toMatchObject(head)
    expect(manifest.payloads.map(({ name }) => name)).toEqual(payloads.map(({ name }) => name))
    expect(manifest.payloads[1]?.segments).toHaveLength(2)
    expect(Buffer.from(bytes).toString()).not.toContain('"path"')
  })

  it('refuses a source that makes no valid manifest', () => {
    const faulty = { ...source, name: 'Not A Name' }
    expect(() => draftManifest(faulty, packing)).toThrow('reading manifest.json: name: ')
    const region = { kind: 'region', offsetBytes: 0 } as const
    const payloads = source.payloads.map((one) => ({ ...one, place: region }))
    expect(() => draftManifest({ ...source, payloads }, packing)).toThrow('needs a disk')
    expect(() => draftManifest({ ...source, payloads: [] }, packing)).toThrow('payloads')
  })
})

describe('listMembers', () => {
  const front = { manifest: Buffer.of(1), signatures: Buffer.of(2), keys: Buffer.of(3) }

  it('lists members in the order of the format, segments numbered in each payload', () => {
    const parts = {
      ...front,
      source,
      codec: 'xz',
      packed: [packed(1, 0), packed(2, 9_000)],
    } as const
    expect(listMembers(parts).map(({ name }) => name)).toEqual([
      'manifest.json',
      'manifest.json.sig',
      'keys.pgp',
      'payloads/efi.index',
      'payloads/efi.000.xz.pgp',
      'payloads/root.index',
      'payloads/root.000.xz.pgp',
      'payloads/root.001.xz.pgp',
    ])
    expect(listMembers(parts).at(-1)).toMatchObject({ place: 14_000, bytes: 1_001 })
  })

  it('refuses a payload that was not packed', () => {
    const parts = { ...front, source, codec: 'zstd', packed: [packed(1, 0)] } as const
    expect(() => listMembers(parts)).toThrow('payload root was not packed')
  })
})

describe('reportOf', () => {
  it('adds up the payloads', () => {
    const both = [packed(1, 0), packed(2, 9_000)]
    const report = reportOf({ source, packed: both, bytes: 10_240, seconds: { scanning: 1 } })
    expect(report).toMatchObject({
      bytes: 10_240,
      rawBytes: 200,
      dataBytes: 150,
      packedBytes: 3_001,
      frames: 9,
      segments: 3,
      seconds: { scanning: 1 },
    })
    expect(report.payloads[1]).toMatchObject({ name: 'root', packedBytes: 2_001 })
  })
})

describe('timedEmit', () => {
  it('passes every event on and keeps the seconds of phases', () => {
    const seen: ProgressEvent[] = []
    const { emit, seconds } = timedEmit((event) => void seen.push(event))
    const events: ProgressEvent[] = [
      { event: 'phase', phase: 'scanning', state: 'start' },
      { event: 'note', text: 'half way' },
      { event: 'phase', phase: 'scanning', state: 'end', seconds: 2.5 },
    ]
    for (const event of events) emit(event)
    expect(seen).toEqual(events)
    expect(seconds).toEqual({ scanning: 2.5 })
  })
})

describe('settle and makeSetup', () => {
  let keys: TestKeys
  beforeAll(async () => {
    keys = await makeKeys()
  })

  it('fills in the defaults', () => {
    const { workers, ...options } = makeOptions(keys, '/images/a.osimg')
    expect(workers).toBeGreaterThan(0)
    expect(settle(options)).toMatchObject({
      force: false,
      codec: 'zstd',
      level: 3,
      workers: availableParallelism(),
      aead: 'ocb',
      chunkOctet: 12,
      scratchDirectory: '/images',
    })
  })

  it('bounds memory by the number of workers, whatever the chunk size', () => {
    for (const chunkOctet of [6, 12, 16]) {
      for (const workers of [1, 4, 32]) {
        const settings = settle({ ...makeOptions(keys, 'a'), workers, chunkOctet })
        const file = { path: 'a', fd: -1 }
        const files = { payloads: [], spool: file, image: file, sessionKey: Buffer.alloc(32) }
        const { packedSlots, chunkSlots } = makeSetup(settings, files)
        const bytes = packedSlots.memory.byteLength + chunkSlots.memory.byteLength
        expect(bytes).toBeLessThan((workers + 1) * 24 * 1024 * 1024)
        expect(chunkSlots.count).toBeGreaterThanOrEqual(3)
      }
    }
  })
})
