import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packImage } from '../../src/pack/image/pack.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { makeKeys, makeOptions, makeSource, noise, type TestKeys } from '../pack/image/fixtures.ts'
import { checkImage } from './check-image.ts'
import type { RefereeRoot } from './referee-root.ts'

const MIB = 1024 * 1024

export function imageSuite(rootOf: () => RefereeRoot): void {
  let scratch: Scratch
  let keys: TestKeys
  const at = (name: string) => join(scratch.path, name)

  beforeAll(async () => {
    scratch = await makeScratch('case')
    keys = await makeKeys()
    await writeFile(at('recipient.key'), keys.recipient.armor())
    await writeFile(at('signer.pub'), keys.signerCert.armor())
    const payloads = [
      {
        name: 'root',
        raw: Buffer.concat([noise(9 * MIB, 1), Buffer.alloc(8 * MIB), noise(5, 2)]),
      },
      { name: 'boot', raw: randomBytes(MIB), before: 512 },
      { name: 'one', raw: Buffer.of(1) },
    ]
    const source = await makeSource(scratch.path, payloads)
    for (const [aead, codec] of [
      ['ocb', 'zstd'],
      ['gcm', 'zstd'],
      ['ocb', 'xz'],
    ] as const) {
      const options = makeOptions(keys, at(`${aead}-${codec}.osimg`))
      await packImage(source, { ...options, aead, codec, chunkOctet: aead === 'ocb' ? 12 : 16 })
    }
  })

  afterAll(async () => {
    await scratch?.[Symbol.asyncDispose]()
  })

  const image = (name: string) => ({
    imagePath: at(name),
    recipientKeyPath: at('recipient.key'),
    signerCertPath: at('signer.pub'),
    rawCopies: {
      root: { path: at('root.raw'), offset: 0 },
      boot: { path: at('boot.raw'), offset: 512 },
      one: { path: at('one.raw'), offset: 0 },
    },
  })

  test.each(['ocb-zstd.osimg', 'gcm-zstd.osimg', 'ocb-xz.osimg'])(
    '%s: every segment comes out raw through every referee',
    async (name) => {
      const verdicts = await checkImage(rootOf(), image(name))
      expect(verdicts).toHaveLength(9)
      const sizes = verdicts.filter((one) => one.referee === 'rsop').map((one) => one.rawBytes)
      expect(sizes.slice(1)).toEqual([MIB, 1])
      expect(sizes[0]).toBeGreaterThanOrEqual(9 * MIB + 5)
      expect(sizes[0]).toBeLessThan(10 * MIB)
    },
  )

  test('an image with one other bit, and a raw copy with one, are refused', async () => {
    const bytes = await readFile(at('ocb-zstd.osimg'))
    const middle = Math.floor(bytes.length / 2)
    bytes[middle] = (bytes[middle] ?? 0) ^ 1
    await writeFile(at('flipped.osimg'), bytes)
    await expect(checkImage(rootOf(), image('flipped.osimg'))).rejects.toThrow(
      expect.objectContaining({ code: 'process' }),
    )
    await writeFile(at('other.raw'), Buffer.of(2))
    const other = { one: { path: at('other.raw'), offset: 0 } }
    await expect(
      checkImage(rootOf(), { ...image('ocb-zstd.osimg'), rawCopies: other }),
    ).rejects.toThrow('other bytes at 0 than the index says')
  })
}
