import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { packImage } from '../../../src/pack/image/pack.ts'
import { KIB, MIB } from '../../../src/units.ts'
import { makeFolder, makeKeys, makeOptions, makeSource, noise, type TestKeys } from './fixtures.ts'
import { readImage } from './read-image.ts'

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
    expect(await readdir(folder.path)).toEqual(['a.osimg', 'one.raw', 'two.raw'])
  })
})
