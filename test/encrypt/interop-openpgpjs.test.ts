import { randomBytes } from 'node:crypto'
import { createMessage, decrypt, encrypt, enums, readMessage } from 'openpgp'
import { describe, expect, test } from 'vitest'
import { openpgpConfig } from '../../src/encrypt/openpgp-config.ts'
import {
  decryptSessionKey,
  encryptSessionKey,
  generateSessionKey,
} from '../../src/encrypt/session-key.ts'
import { newPairs } from './key-ring.ts'
import { openPlaintext, sealSegment } from './whole-segment.ts'

const { recipient } = await newPairs()
const modes = (['ocb', 'gcm'] as const).flatMap((aead) =>
  [6, 12, 16].flatMap((chunkOctet) => [0, 1, 10_000].map((bytes) => ({ aead, chunkOctet, bytes }))),
)

describe('OpenPGP.js', () => {
  test.each(modes)('opens what we seal: $aead, $chunkOctet, $bytes octets', async (shape) => {
    const sessionKey = generateSessionKey()
    const keys = await encryptSessionKey(sessionKey, [recipient.cert])
    const body = randomBytes(shape.bytes)
    const binaryMessage = Buffer.concat([keys, sealSegment(sessionKey, body, shape)])
    const { data } = await decrypt({
      message: await readMessage({ binaryMessage, config: openpgpConfig }),
      decryptionKeys: recipient.key,
      format: 'binary',
      config: openpgpConfig,
    })
    expect(Buffer.compare(data, body)).toBe(0)
  })

  test.each(modes)('seals what we open: $aead, $chunkOctet, $bytes + 4 octets', async (shape) => {
    // Its literal header has 8 octets where ours has 12.
    const body = randomBytes(shape.bytes + 4)
    const message = await encrypt({
      message: await createMessage({ binary: body }),
      encryptionKeys: recipient.cert,
      format: 'binary',
      config: {
        ...openpgpConfig,
        aeadChunkSizeByte: shape.chunkOctet,
        preferredAEADAlgorithm: enums.aead[shape.aead],
      },
    })
    const { keys, segment } = cutMessage(message)
    const sessionKey = await decryptSessionKey(keys, [recipient.key])
    expect(segment[8]).toBe(enums.aead[shape.aead])
    expect(segment[9]).toBe(shape.chunkOctet)
    const plaintext = openPlaintext(sessionKey, segment)
    const tail = plaintext.subarray(plaintext.length - body.length)
    expect(Buffer.compare(tail, body)).toBe(0)
  })
})

/** OpenPGP.js streams in partial lengths: give the segment the one length that we require. */
function cutMessage(message: Uint8Array) {
  const keysEnd = 2 + (message[1] ?? 0)
  const pieces: Uint8Array[] = []
  let at = keysEnd + 1
  let partial = true
  while (partial) {
    const [first = 0, second = 0] = message.subarray(at, at + 2)
    partial = first >= 224
    at += first >= 192 && first < 224 ? 2 : 1
    const short = first < 192 ? first : ((first - 192) << 8) + second + 192
    const bytes = partial ? 1 << (first & 31) : short
    pieces.push(message.subarray(at, at + bytes))
    at += bytes
  }
  const body = Buffer.concat(pieces)
  const header = Buffer.from([0xd2, 0xff, 0, 0, 0, 0])
  header.writeUInt32BE(body.length, 2)
  return { keys: message.subarray(0, keysEnd), segment: Buffer.concat([header, body]) }
}
