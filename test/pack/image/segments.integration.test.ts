/** A payload of more than one segment: 264 MiB that cannot be compressed. */
import { randomBytes } from 'node:crypto'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { decryptSessionKey } from '../../../src/encrypt/session-key.ts'
import { parseContent } from '../../../src/format/index.ts'
import { LIMITS } from '../../../src/format/limits.ts'
import { parseManifest } from '../../../src/format/manifest-bytes.ts'
import { packImage } from '../../../src/pack/image/pack.ts'
import { MIB } from '../../../src/units.ts'
import { makeFolder, makeKeys, makeOptions, makeSource, range } from './fixtures.ts'
import { openSegment, readMembersAt } from './read-image.ts'

const FRAMES = 66
const SEGMENT = 128 * MIB

it('cuts a payload into segments of at most 128 MiB, which follow each other', async () => {
  await using folder = await makeFolder()
  const keys = await makeKeys()
  const source = await makeSource(folder.path, [{ name: 'root', raw: Buffer.alloc(0) }])
  const [payload] = source.payloads
  if (payload === undefined) throw new Error('no payload')
  const block = randomBytes(4 * MIB)
  const file = await open(payload.path, 'r+')
  try {
    for (let i = 0; i < FRAMES; i += 1) await file.write(block, 0, block.length, i * block.length)
  } finally {
    await file.close()
  }
  const large = { ...source, payloads: [{ ...payload, range: range(0, FRAMES * 4 * MIB) }] }
  const output = join(folder.path, 'a.osimg')
  const report = await packImage(large, makeOptions(keys, output))
  expect(report.segments).toBe(3)
  expect((await stat(output)).size).toBe(report.bytes)

  const members = await readMembersAt(output)
  const manifest = parseManifest(await members.read('manifest.json'))
  const entry = manifest.payloads[0]
  const content = (await members.read('payloads/root.index')).subarray(0, entry?.index.contentBytes)
  const { frames, segmentFrames } = parseContent(content, 'root')
  expect(frames.length).toBe(FRAMES)
  const sessionKey = await decryptSessionKey(await members.read('keys.pgp'), [keys.recipient])
  let frame = 0
  for (const [n, count] of segmentFrames.entries()) {
    const member = await members.read(`payloads/root.00${n}.zst.pgp`)
    const { body, plainBytes } = openSegment(member, sessionKey)
    const packed = frames.slice(frame, frame + count).map(({ packedLength }) => packedLength)
    expect(body.length).toBe(packed.reduce((sum, length) => sum + length, 0))
    expect(plainBytes).toBe(entry?.segments[n]?.plainBytes)
    expect(plainBytes).toBeLessThanOrEqual(SEGMENT)
    frame += count
  }
  // Full: one frame more would have been too much.
  expect(entry?.segments[0]?.plainBytes).toBeGreaterThan(
    SEGMENT - 4 * MIB - LIMITS.framePackedSlackBytes,
  )
  expect(frame).toBe(FRAMES)
})
