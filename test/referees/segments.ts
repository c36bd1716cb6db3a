import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { generateKeys } from '../../src/encrypt/keys.ts'
import { chunkBytesOf } from '../../src/encrypt/segment-layout.ts'
import { encryptSessionKey, generateSessionKey } from '../../src/encrypt/session-key.ts'
import { signDetached } from '../../src/encrypt/signature.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { newPairs, oddPair, pairOf } from '../encrypt/key-ring.ts'
import { sealSegment } from '../encrypt/whole-segment.ts'
import { ByteCounter, REFEREES, refereeVerifies, runReferee } from './referee.ts'
import type { RefereeRoot } from './referee-root.ts'

const sessionKey = generateSessionKey()

export function segmentsSuite(rootOf: () => RefereeRoot): void {
  let scratch: Scratch

  beforeAll(async () => {
    scratch = await makeScratch('case', join(rootOf().path, 'tmp'))
    const { recipientKey, recipientCert, signerKey, signerCert } = await generateKeys()
    const version4 = await oddPair({ curve: 'ed25519Legacy' })
    const stranger = (await newPairs()).recipient
    const certs = [stranger.cert, version4.cert, (await pairOf(recipientKey)).cert]
    await put('keys.pgp', await encryptSessionKey(sessionKey, certs))
    await put('v6.key', Buffer.from(recipientKey))
    await put('v6.pub', Buffer.from(recipientCert))
    await put('v4.key', Buffer.from(version4.key.armor()))
    const manifest = Buffer.from('{"format":"osflash-image/1"}')
    await put('manifest.json', manifest)
    const signer = (await pairOf(signerKey)).key
    await put('manifest.json.sig', await signDetached(manifest, [signer]))
    await put('signer.pub', Buffer.from(signerCert))
  })

  afterAll(async () => {
    await scratch?.[Symbol.asyncDispose]()
  })

  const put = (name: string, bytes: Uint8Array) => writeFile(join(scratch.path, name), bytes)

  const job = (segment: string, recipientKey = 'v6.key') => ({
    folder: scratch.path,
    keys: 'keys.pgp',
    segment,
    recipientKey,
    codec: 'none' as const,
  })

  const cases = (['ocb', 'gcm'] as const).flatMap((aead) =>
    [12, 16].flatMap((chunkOctet) => {
      const chunk = chunkBytesOf(chunkOctet)
      // Plaintext of exactly a chunk and its neighbours: the literal header takes 12 octets.
      const edges = [0, 1, chunk - 13, chunk - 12, chunk - 11]
      const sizes = chunkOctet === 12 ? [...edges, 3 * chunk - 12, 3 * chunk + 777] : [...edges]
      return sizes.map((bytes) => ({ aead, chunkOctet, bytes }))
    }),
  )

  test.each(cases)('$aead, chunk octet $chunkOctet, body of $bytes octets', async (shape) => {
    const body = randomBytes(shape.bytes)
    await put('segment', sealSegment(sessionKey, body, shape))
    for (const name of REFEREES) {
      for (const key of ['v6.key', 'v4.key']) {
        const sink = new ByteCounter()
        await runReferee(name, rootOf(), { job: job('segment', key), sink })
        expect([name, key, sink.bytes]).toEqual([name, key, body.length])
        expect(sink.sha256()).toBe(createHash('sha256').update(body).digest('hex'))
      }
    }
  })

  test('whole zstd frames, one after another, come out raw', async () => {
    const raw = Buffer.alloc(3_000_000, 'osflash ')
    const frames = [raw.subarray(0, 1_000_000), raw.subarray(1_000_000)].map((part) =>
      zstdCompressSync(part),
    )
    const body = Buffer.concat(frames)
    await put('segment', sealSegment(sessionKey, body, { chunkOctet: 12 }))
    for (const name of REFEREES) {
      const sink = new ByteCounter()
      await runReferee(name, rootOf(), { job: { ...job('segment'), codec: 'zstd' }, sink })
      expect(sink.sha256()).toBe(createHash('sha256').update(raw).digest('hex'))
    }
  })

  test('the referees refuse a flipped bit, a lost chunk and a stranger', async () => {
    const member = sealSegment(sessionKey, randomBytes(600_000), { chunkOctet: 12 })
    const flipped = Uint8Array.from(member)
    flipped[300_000] = (flipped[300_000] ?? 0) ^ 1
    // Two whole chunks of three, the length mended: only the final tag tells.
    const cut = Buffer.concat([member.subarray(0, 42 + 2 * 262_160), member.subarray(-16)])
    cut.writeUInt32BE(cut.length - 6, 2)
    const foreign = sealSegment(randomBytes(32), randomBytes(1000))
    for (const bad of [flipped, cut, foreign]) {
      await put('segment', bad)
      for (const name of REFEREES) {
        const sink = new ByteCounter()
        const outcome = runReferee(name, rootOf(), { job: job('segment'), sink })
        await expect(outcome).rejects.toThrow(expect.objectContaining({ code: 'process' }))
      }
    }
  })

  test('the referees verify what we sign, and nothing else', async () => {
    const names = ['manifest.json', 'manifest.json.sig', 'signer.pub'] as const
    for (const name of REFEREES) {
      await refereeVerifies(name, rootOf(), { folder: scratch.path, names })
      const other = refereeVerifies(name, rootOf(), {
        folder: scratch.path,
        names: ['keys.pgp', 'manifest.json.sig', 'signer.pub'],
      })
      await expect(other).rejects.toThrow(expect.objectContaining({ code: 'process' }))
    }
  })
}
