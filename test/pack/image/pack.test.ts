/** Images of small payloads, packed by real threads and read back by read-image.ts. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { verifyDetached } from '../../../src/encrypt/signature.ts'
import type { ProgressEvent } from '../../../src/events.ts'
import { packImage } from '../../../src/pack/image/pack.ts'
import { run } from '../../../src/system/run.ts'
import { KIB, MIB } from '../../../src/units.ts'
import {
  makeFolder,
  makeKeys,
  makeOptions,
  makeSource,
  noise,
  range,
  type TestKeys,
} from './fixtures.ts'
import { readImage } from './read-image.ts'

const FRAME = 4 * MIB
const CELL = 64 * KIB

let keys: TestKeys
beforeAll(async () => {
  keys = await makeKeys()
})

/** Data, a long gap, data that crosses a frame, a short gap, data, zeros at the end. */
function gappy(seed: number): Buffer {
  const raw = Buffer.alloc(12 * MIB + 4_321)
  noise(100 * KIB, seed).copy(raw, 0)
  noise(5 * MIB, seed + 1).copy(raw, 2 * MIB)
  noise(70 * KIB, seed + 2).copy(raw, 7 * MIB + 130 * KIB)
  return raw
}

describe('packImage', () => {
  it('writes an image whose payloads read back byte for byte', async () => {
    await using folder = await makeFolder()
    const one = gappy(1)
    const two = noise(300 * KIB, 9)
    const source = await makeSource(folder.path, [
      { name: 'one', raw: one },
      { name: 'two', raw: two, before: 12_345 },
    ])
    const output = join(folder.path, 'a.osimg')
    const report = await packImage(source, makeOptions(keys, output))
    const image = await readImage(output, [keys.recipient])
    expect(image.payloads.get('one')?.raw.equals(one)).toBe(true)
    expect(image.payloads.get('two')?.raw.equals(two)).toBe(true)
    expect(report.payloads.map(({ contentDigest }) => contentDigest)).toEqual(
      image.manifest.payloads.map(({ index }) => index.contentDigest),
    )
    expect(report.bytes).toBe((await stat(output)).size)
    expect(report.rawBytes).toBe(one.length + two.length)
    expect(await readdir(folder.path)).toEqual(['a.osimg', 'one.raw', 'two.raw'])
  })

  it.each([0, 1, CELL - 1, CELL, CELL + 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME + CELL + 1])(
    'packs %i bytes of data',
    async (bytes) => {
      await using folder = await makeFolder()
      const raw = noise(bytes, 3)
      const source = await makeSource(folder.path, [{ name: 'root', raw }])
      const output = join(folder.path, 'a.osimg')
      await packImage(source, makeOptions(keys, output))
      const image = await readImage(output, [keys.recipient])
      const payload = image.payloads.get('root')
      expect(payload?.raw.equals(raw)).toBe(true)
      expect(payload?.index.frames.length).toBe(Math.ceil(bytes / FRAME))
      expect(payload?.index.segmentFrames.length).toBe(bytes === 0 ? 0 : 1)
    },
  )

  it.each([
    ['ocb', 6, 'zstd'],
    ['gcm', 12, 'zstd'],
    ['ocb', 16, 'zstd'],
    ['ocb', 12, 'xz'],
  ] as const)('packs with %s, chunk octet %i, %s', async (aead, chunkOctet, codec) => {
    await using folder = await makeFolder()
    const raw = noise(5 * MIB + 1, 4)
    const source = await makeSource(folder.path, [{ name: 'root', raw }])
    const output = join(folder.path, 'a.osimg')
    await packImage(source, { ...makeOptions(keys, output), aead, chunkOctet, codec })
    const image = await readImage(output, [keys.recipient])
    expect(image.payloads.get('root')?.raw.equals(raw)).toBe(true)
    expect(image.manifest.encryption).toEqual({ cipher: 'aes256', aead, chunkOctet })
  })

  it('packs zeros as extents, without a frame or a segment', async () => {
    await using folder = await makeFolder()
    const raw = Buffer.alloc(9 * MIB + 1)
    const source = await makeSource(folder.path, [{ name: 'root', raw }])
    const output = join(folder.path, 'a.osimg')
    await packImage(source, makeOptions(keys, output))
    const { payloads, manifest } = await readImage(output, [keys.recipient])
    const extents = [{ offset: 0, length: raw.length, kind: 'zero' }]
    expect(payloads.get('root')?.index).toMatchObject({ extents, frames: [], segmentFrames: [] })
    expect(manifest.payloads[0]?.segments).toEqual([])
  })

  it('lets nothing of unused ranges into the image, and says where they are', async () => {
    await using folder = await makeFolder()
    const raw = noise(40 * CELL, 5)
    const unused = [
      // Part of a cell; short of 4 cells; long enough, beginning inside a cell; the end.
      range(CELL + 100, 200),
      range(5 * CELL, 3 * CELL),
      range(10 * CELL + 1, 6 * CELL),
      range(38 * CELL, 2 * CELL),
    ]
    const source = await makeSource(folder.path, [{ name: 'root', raw, unused }])
    const output = join(folder.path, 'a.osimg')
    await packImage(source, makeOptions(keys, output))
    const payload = (await readImage(output, [keys.recipient])).payloads.get('root')
    const expected = Buffer.from(raw)
    for (const { offset, length } of unused) expected.fill(0, offset, offset + length)
    expect(payload?.raw.equals(expected)).toBe(true)
    expect(payload?.index.extents).toEqual([
      { offset: 0, length: 11 * CELL, kind: 'data' },
      { offset: 11 * CELL, length: 5 * CELL, kind: 'unused' },
      { offset: 16 * CELL, length: 22 * CELL, kind: 'data' },
      { offset: 38 * CELL, length: 2 * CELL, kind: 'unused' },
    ])
  })

  it('gives the same indexes and plaintext with 1 worker and with 3, but new salts', async () => {
    await using folder = await makeFolder()
    const source = await makeSource(folder.path, [
      { name: 'one', raw: gappy(1) },
      { name: 'two', raw: noise(9 * MIB, 2), unused: [range(MIB, 3 * MIB)] },
    ])
    const images = []
    for (const workers of [1, 3]) {
      const output = join(folder.path, `${workers}.osimg`)
      await packImage(source, { ...makeOptions(keys, output), workers })
      images.push(await readImage(output, [keys.recipient]))
    }
    const [one, three] = images.map(({ manifest, payloads }) => ({
      manifest: {
        ...manifest,
        payloads: manifest.payloads.map(({ index, segments, ...rest }) => ({
          ...rest,
          index: { ...index, sha256: '', blocksDigest: '' },
          segments: segments.map((segment) => ({ ...segment, sha256: '' })),
        })),
      },
      indexes: [...payloads.values()].map(({ index }) => index),
    }))
    expect(three).toEqual(one)
    const digests = images.map(({ manifest }) =>
      manifest.payloads.flatMap(({ segments }) => segments.map(({ sha256 }) => sha256)),
    )
    expect(new Set(digests.flat()).size).toBe(4)
  })

  it('is a tar that tar lists in the order of the format, with the time of the image', async () => {
    await using folder = await makeFolder()
    const source = await makeSource(folder.path, [
      { name: 'efi', raw: noise(10, 1) },
      { name: 'root', raw: gappy(2) },
      { name: 'swap', raw: Buffer.alloc(CELL) },
    ])
    const output = join(folder.path, 'a.osimg')
    await packImage(source, makeOptions(keys, output))
    const { stdout } = await run(['tar', 'tf', output])
    expect(stdout.trim().split('\n')).toEqual([
      'manifest.json',
      'manifest.json.sig',
      'keys.pgp',
      'payloads/efi.index',
      'payloads/efi.000.zst.pgp',
      'payloads/root.index',
      'payloads/root.000.zst.pgp',
      'payloads/swap.index',
    ])
    const { members } = await readImage(output, [keys.recipient])
    for (const [name, member] of members) {
      expect(member.mtime).toBe(1_700_000_000)
      const checked = name === 'manifest.json.sig' || name === 'keys.pgp'
      expect(member.checksum !== undefined, name).toBe(checked)
    }
  })

  it('signs the bytes of the manifest', async () => {
    await using folder = await makeFolder()
    const source = await makeSource(folder.path, [{ name: 'root', raw: noise(10, 1) }])
    const output = join(folder.path, 'a.osimg')
    await packImage(source, makeOptions(keys, output))
    const { members } = await readImage(output, [keys.recipient])
    const bytes = members.get('manifest.json')?.content ?? Buffer.alloc(0)
    const signatures = members.get('manifest.json.sig')?.content ?? Buffer.alloc(0)
    const trusted = [keys.signerCert]
    expect((await verifyDetached({ bytes, signatures, trusted })).signers).toHaveLength(1)
  })

  it('tells how far each phase is, never past its end, and ends each one', async () => {
    await using folder = await makeFolder()
    const source = await makeSource(folder.path, [{ name: 'root', raw: gappy(3) }])
    const events: ProgressEvent[] = []
    const output = join(folder.path, 'a.osimg')
    const emit = (event: ProgressEvent): void => void events.push(event)
    const report = await packImage(source, { ...makeOptions(keys, output), emit })
    for (const phase of ['scanning', 'compressing', 'assembling']) {
      const amounts = events.flatMap((event) =>
        event.event === 'progress' && event.phase === phase ? [event] : [],
      )
      const done = amounts.map((event) => event.done)
      expect(done).toEqual(done.toSorted((a, b) => a - b))
      expect(done.at(-1)).toBe(amounts.at(-1)?.total)
      expect(report.seconds[phase]).toBeGreaterThan(0)
    }
  })

  it('makes the image readable to all, as far as the umask allows', async () => {
    await using folder = await makeFolder()
    const source = await makeSource(folder.path, [{ name: 'root', raw: noise(10, 1) }])
    const output = join(folder.path, 'a.osimg')
    await packImage(source, makeOptions(keys, output))
    const { mode } = await stat(output)
    expect(mode & 0o777 & ~0o644).toBe(0)
    expect((await readFile(output)).subarray(257, 262).toString()).toBe('ustar')
  })
})
