import { encryptSessionKey as encryptTo } from 'openpgp'
import { afterEach, expect, test, vi } from 'vitest'
import { fingerprintOf, generateKeys, readSecretKeys } from '../../src/encrypt/keys.ts'
import {
  addRecipients,
  decryptSessionKey,
  encryptSessionKey,
  generateSessionKey,
  listRecipients,
  removeRecipients,
} from '../../src/encrypt/session-key.ts'
import { LIMITS } from '../../src/format/limits.ts'
import { first, type KeyPair, keyFile, newPairs, oddPair } from './key-ring.ts'

const { recipient: one, signer } = await newPairs()
const { recipient: two } = await newPairs()
const old = await oddPair({ curve: 'ed25519Legacy' })
const sessionKey = generateSessionKey()

afterEach(() => {
  vi.useRealTimers()
})

const nameOf = (pair: KeyPair): string => fingerprintOf(first(pair.cert.subkeys))
const code = (name: string) => expect.objectContaining({ code: name })

test('every recipient finds the session key, version 6 and version 4 alike', async () => {
  const pairs = [one, two, old]
  const keysPgp = await encryptSessionKey(
    sessionKey,
    pairs.map((pair) => pair.cert),
  )
  for (const pair of pairs) {
    expect(Buffer.from(await decryptSessionKey(keysPgp, [pair.key]))).toEqual(sessionKey)
  }
  expect(listRecipients(keysPgp)).toEqual([
    expect.objectContaining({ version: 6, keyVersion: 6, name: nameOf(one), algorithm: 25 }),
    expect.objectContaining({ version: 6, keyVersion: 6, name: nameOf(two), algorithm: 25 }),
    expect.objectContaining({ version: 6, keyVersion: 4, name: nameOf(old), algorithm: 18 }),
  ])
})

test('RSA and P-256 recipients of version 4 find it too', async () => {
  for (const kind of [{ type: 'rsa', rsaBits: 3072 }, { curve: 'nistP256' }] as const) {
    const pair = await oddPair(kind)
    const keysPgp = await encryptSessionKey(sessionKey, [pair.cert])
    expect(Buffer.from(await decryptSessionKey(keysPgp, [pair.key]))).toEqual(sessionKey)
  }
})

test('a key that does not fit is refused, and the error lists who could', async () => {
  const keysPgp = await encryptSessionKey(sessionKey, [one.cert, old.cert])
  await expect(decryptSessionKey(keysPgp, [two.key])).rejects.toThrow(
    expect.objectContaining({
      code: 'decryption',
      message: 'decrypting keys.pgp: no secret key given fits',
      data: {
        recipients: [
          `${nameOf(one)} (PKESK version 6, version 6 key)`,
          `${nameOf(old)} (PKESK version 6, version 4 key)`,
        ].join('\n'),
      },
    }),
  )
  await expect(decryptSessionKey(keysPgp, [])).rejects.toThrow(code('decryption'))
})

test('a clock of 1970 does not matter', async () => {
  const keysPgp = await encryptSessionKey(sessionKey, [one.cert])
  vi.useFakeTimers({ now: 0, toFake: ['Date'] })
  expect(Buffer.from(await decryptSessionKey(keysPgp, [one.key]))).toEqual(sessionKey)
})

test('a recipient key that has expired since still decrypts', async () => {
  const created = new Date('2024-01-01T00:00:00Z')
  const pair = await oddPair({ curve: 'ed25519Legacy', created, lifeSeconds: 86_400 })
  vi.useFakeTimers({ now: new Date('2024-01-01T01:00:00Z'), toFake: ['Date'] })
  const keysPgp = await encryptSessionKey(sessionKey, [pair.cert])
  vi.useRealTimers()
  expect(Buffer.from(await decryptSessionKey(keysPgp, [pair.key]))).toEqual(sessionKey)
  await expect(encryptSessionKey(sessionKey, [pair.cert])).rejects.toThrow(code('refused'))
})

test('a flipped bit never gives another session key', async () => {
  const keysPgp = await encryptSessionKey(sessionKey, [one.cert])
  for (let bit = 0; bit < keysPgp.length * 8; bit += 3) {
    const flipped = Uint8Array.from(keysPgp)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const outcome = await decryptSessionKey(flipped, [one.key]).then(
      (key) => (Buffer.compare(key, sessionKey) === 0 ? 'same' : 'another'),
      (error: { code?: string }) => error.code ?? 'untyped',
    )
    // X25519 ignores the highest bit of a public key (RFC 7748, section 5).
    expect(outcome).toMatch(/^(same|decryption|format|limit)$/)
  }
})

test('a locked key is named, with a hint', async () => {
  const keys = await generateKeys({ passphrase: 'x' })
  const locked = first(await readSecretKeys(keyFile(keys.recipientKey)))
  const keysPgp = await encryptSessionKey(sessionKey, [locked.toPublic()])
  await expect(decryptSessionKey(keysPgp, [locked])).rejects.toThrow(
    expect.objectContaining({ message: `using key ${fingerprintOf(locked)}: it is locked` }),
  )
})

test('version 3 packets and packets that name nobody are read', async () => {
  const shared = { data: sessionKey, algorithm: 'aes256', format: 'binary' } as const
  const version3 = await encryptTo({ ...shared, encryptionKeys: [one.cert] })
  const nobody = await encryptTo({
    ...shared,
    aeadAlgorithm: 'ocb',
    encryptionKeys: [one.cert],
    wildcard: true,
  })
  for (const keysPgp of [version3, nobody]) {
    expect(Buffer.from(await decryptSessionKey(keysPgp, [two.key, one.key]))).toEqual(sessionKey)
    await expect(decryptSessionKey(keysPgp, [two.key])).rejects.toThrow(code('decryption'))
  }
  expect(first(listRecipients(version3))).toMatchObject({
    version: 3,
    keyVersion: undefined,
    name: first(one.cert.subkeys).getKeyID().toHex().toUpperCase(),
  })
  expect(first(listRecipients(nobody))).toMatchObject({ version: 6, name: undefined })
})

test('a session key for another cipher or of another length is refused', async () => {
  const keysPgp = await encryptTo({
    data: new Uint8Array(16),
    algorithm: 'aes128',
    encryptionKeys: [one.cert],
    format: 'binary',
  })
  await expect(decryptSessionKey(keysPgp, [one.key])).rejects.toThrow(code('decryption'))
  await expect(encryptSessionKey(new Uint8Array(16), [one.cert])).rejects.toThrow(RangeError)
})

test('recipients are added once and removed again', async () => {
  const single = await encryptSessionKey(sessionKey, [one.cert])
  const more = { sessionKey, certificates: [one.cert, two.cert] }
  const both = await addRecipients(single, more)
  expect(listRecipients(both).map((entry) => entry.name)).toEqual([nameOf(one), nameOf(two)])
  expect(Buffer.from(await decryptSessionKey(both, [two.key]))).toEqual(sessionKey)
  const left = removeRecipients(both, [nameOf(one).toLowerCase()])
  expect(listRecipients(left).map((entry) => entry.name)).toEqual([nameOf(two)])
  await expect(decryptSessionKey(left, [one.key])).rejects.toThrow(code('decryption'))
  expect(removeRecipients(both, [nameOf(two)])).toEqual(single)
})

test('the last recipient stays, and an unknown one is refused', async () => {
  const keysPgp = await encryptSessionKey(sessionKey, [one.cert, two.cert])
  expect(() => removeRecipients(keysPgp, [nameOf(one), nameOf(two)])).toThrow(code('refused'))
  expect(() => removeRecipients(keysPgp, [nameOf(old)])).toThrow(
    expect.objectContaining({ code: 'refused', data: expect.anything() }),
  )
})

test('a certificate without an encryption key is refused', async () => {
  await expect(encryptSessionKey(sessionKey, [signer.cert])).rejects.toThrow(code('refused'))
})

test('1,024 packets are read, one more is refused', async () => {
  const packet = await encryptSessionKey(sessionKey, [one.cert])
  const many = (count: number) => Buffer.concat(Array(count).fill(packet))
  expect(listRecipients(many(LIMITS.recipients))).toHaveLength(1024)
  expect(() => listRecipients(many(LIMITS.recipients + 1))).toThrow(code('limit'))
  const add = addRecipients(many(LIMITS.recipients), { sessionKey, certificates: [two.cert] })
  await expect(add).rejects.toThrow(code('limit'))
})

test.each([
  ['nothing', []],
  ['a version 2 packet', [0xc1, 2, 2, 0]],
  ['an SKESK packet', [0xc3, 2, 6, 0]],
  ['a key of version 5', [0xc1, 36, 6, 33, 5, ...Array(33).fill(1)]],
  ['a short fingerprint', [0xc1, 10, 6, 6, 6, 1, 2, 3, 4, 5, 25, 0]],
  ['no algorithm', [0xc1, 2, 6, 0]],
  ['version 3 cut short', [0xc1, 5, 3, 1, 2, 3, 4]],
  ['an empty packet', [0xc1, 0]],
])('%s is refused', (_, octets) => {
  expect(() => listRecipients(Uint8Array.from(octets))).toThrow(code('format'))
})
