import { enums, PacketList, revokeKey, SignaturePacket } from 'openpgp'
import { afterEach, expect, test, vi } from 'vitest'
import { fingerprintOf } from '../../src/encrypt/keys.ts'
import { openpgpConfig } from '../../src/encrypt/openpgp-config.ts'
import { describeSignatures, signDetached, verifyDetached } from '../../src/encrypt/signature.ts'
import { type KeyPair, newPairs, oddPair, pairOfKey } from './key-ring.ts'

const bytes = Buffer.from('{"format":"osflash-image/1"}')
const HOUR_MS = 3_600_000
const { signer } = await newPairs()
const { signer: second } = await newPairs()
const { signer: stranger } = await newPairs()

afterEach(() => {
  vi.useRealTimers()
})

const refused = (why: string | RegExp) =>
  expect.objectContaining({
    code: 'signature',
    message: typeof why === 'string' ? expect.stringContaining(why) : expect.stringMatching(why),
  })

interface OddSignature {
  readonly date?: Date
  readonly hash?: enums.hash
  readonly type?: enums.signature
}

/** A valid signature that `signDetached` would not make: the packet alone, without its checks. */
async function oddSignature(pair: KeyPair, options: OddSignature = {}): Promise<Uint8Array> {
  const { keyPacket } = pair.key
  const packet = Object.assign(new SignaturePacket(), {
    version: keyPacket.version,
    signatureType: options.type ?? enums.signature.binary,
    publicKeyAlgorithm: keyPacket.algorithm,
    hashAlgorithm: options.hash ?? enums.hash.sha512,
  })
  const data = { text: null, getBytes: () => bytes }
  const date = options.date ?? new Date()
  // OpenPGP.js knows no salt length for the old hashes.
  const config = { ...openpgpConfig, nonDeterministicSignaturesViaNotation: false }
  await Reflect.apply(packet.sign, packet, [keyPacket, data, date, true, config])
  const list = new PacketList<SignaturePacket>()
  list.push(packet)
  return list.write()
}

test('verifying should accept what signing made', async () => {
  const signatures = await signDetached(bytes, [signer.key])
  const { signers } = await verifyDetached({ bytes, signatures, trusted: [signer.cert] })
  const fingerprint = fingerprintOf(signer.cert)
  expect(signers).toEqual([
    { fingerprint, primaryFingerprint: fingerprint, created: expect.any(Date) },
  ])
})

test('other bytes are refused, every flipped bit of the signature too', async () => {
  const signatures = await signDetached(bytes, [signer.key])
  const trusted = [signer.cert]
  await expect(
    verifyDetached({ bytes: Buffer.from(`${bytes} `), signatures, trusted }),
  ).rejects.toThrow(refused('0 of 1 count'))
  let accepted = 0
  for (let bit = 0; bit < signatures.length * 8; bit += 1) {
    const flipped = Uint8Array.from(signatures)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const outcome = await verifyDetached({ bytes, signatures: flipped, trusted }).then(
      () => 'accepted',
      (error: { code?: string }) => error.code ?? 'untyped',
    )
    if (outcome === 'accepted') accepted += 1
    else expect(outcome).toMatch(/^(signature|format|limit)$/)
  }
  expect(accepted).toBe(0)
})

test('a signature by a valid key that is not pinned is refused', async () => {
  const signatures = await signDetached(bytes, [stranger.key])
  await expect(
    verifyDetached({ bytes, signatures, trusted: [signer.cert, second.cert] }),
  ).rejects.toThrow(refused('no pinned certificate has this key'))
  await expect(verifyDetached({ bytes, signatures, trusted: [] })).rejects.toThrow(
    refused('0 of 1 count'),
  )
})

test('the threshold counts distinct primary keys', async () => {
  const trusted = [signer.cert, second.cert]
  const both = await signDetached(bytes, [signer.key, second.key, stranger.key])
  const { signers } = await verifyDetached({ bytes, signatures: both, trusted, threshold: 2 })
  expect(signers.map((one) => one.primaryFingerprint)).toEqual(trusted.map(fingerprintOf))
  await expect(verifyDetached({ bytes, signatures: both, trusted, threshold: 3 })).rejects.toThrow(
    refused('2 of 3 count'),
  )
  const twice = await signDetached(bytes, [signer.key, signer.key])
  await expect(verifyDetached({ bytes, signatures: twice, trusted, threshold: 2 })).rejects.toThrow(
    refused('1 of 2 count'),
  )
  await expect(verifyDetached({ bytes, signatures: both, trusted, threshold: 0 })).rejects.toThrow(
    RangeError,
  )
})

test('a signing subkey counts for its primary key, and its binding is checked', async () => {
  const pair = await oddPair({ type: 'curve25519', v6Keys: true, signingSubkey: true })
  const signatures = await signDetached(bytes, [pair.key])
  const { signers } = await verifyDetached({ bytes, signatures, trusted: [pair.cert] })
  expect(signers[0]?.primaryFingerprint).toBe(fingerprintOf(pair.cert))
  expect(signers[0]?.fingerprint).toBe(pair.cert.subkeys[0]?.getFingerprint().toUpperCase())

  const unbound = pair.key.toPublic()
  for (const subkey of unbound.subkeys) {
    for (const binding of subkey.bindingSignatures) binding.embeddedSignature = null
  }
  await expect(verifyDetached({ bytes, signatures, trusted: [unbound] })).rejects.toThrow(
    refused('Missing embedded signature'),
  )
})

test('a subkey grafted from another certificate is refused', async () => {
  const pair = await oddPair({ type: 'curve25519', v6Keys: true, signingSubkey: true })
  const signatures = await signDetached(bytes, [pair.key])
  const victim = await oddPair({ type: 'curve25519', v6Keys: true })
  victim.cert.subkeys = pair.cert.subkeys
  await expect(verifyDetached({ bytes, signatures, trusted: [victim.cert] })).rejects.toThrow(
    refused('0 of 1 count'),
  )
})

test.each([
  ['Ed25519, version 4', { curve: 'ed25519Legacy' }],
  ['Ed25519, version 6', { type: 'curve25519', v6Keys: true }],
  ['P-256', { curve: 'nistP256' }],
  ['P-384', { curve: 'nistP384' }],
  ['RSA 3072', { type: 'rsa', rsaBits: 3072 }],
] as const)('%s may sign', async (_, kind) => {
  const pair = await oddPair(kind)
  const signatures = await signDetached(bytes, [pair.key])
  const { signers } = await verifyDetached({ bytes, signatures, trusted: [pair.cert] })
  expect(signers).toHaveLength(1)
})

test.each([
  ['RSA 2048', { type: 'rsa', rsaBits: 2048 }],
  ['P-521', { curve: 'nistP521' }],
  ['Ed448', { type: 'curve448', v6Keys: true }],
] as const)('%s may not sign', async (_, kind) => {
  const pair = await oddPair(kind)
  const signatures = await oddSignature(pair)
  await expect(verifyDetached({ bytes, signatures, trusted: [pair.cert] })).rejects.toThrow(
    refused('0 of 1 count'),
  )
})

test('hashes below SHA-256 do not count', async () => {
  const pair = await oddPair({ type: 'rsa', rsaBits: 3072 })
  for (const hash of [enums.hash.sha1, enums.hash.sha224]) {
    const signatures = await oddSignature(pair, { hash })
    await expect(verifyDetached({ bytes, signatures, trusted: [pair.cert] })).rejects.toThrow(
      refused(`hash algorithm ${hash}`),
    )
  }
  const signatures = await oddSignature(pair, { hash: enums.hash.sha256 })
  expect((await verifyDetached({ bytes, signatures, trusted: [pair.cert] })).signers).toHaveLength(
    1,
  )
})

test('a signature of a text document does not count', async () => {
  const signatures = await oddSignature(signer, { type: enums.signature.text })
  await expect(verifyDetached({ bytes, signatures, trusted: [signer.cert] })).rejects.toThrow(
    refused('not of a binary document'),
  )
})

test('a clock of 1970 and a key that has expired since do not matter', async () => {
  const created = new Date('2024-01-01T00:00:00Z')
  const pair = await oddPair({ curve: 'ed25519Legacy', created, lifeSeconds: 86_400 })
  const signatures = await oddSignature(pair, { date: new Date(created.getTime() + HOUR_MS) })
  const request = { bytes, signatures, trusted: [pair.cert] }
  expect((await verifyDetached(request)).signers).toHaveLength(1)
  vi.useFakeTimers({ now: 0, toFake: ['Date'] })
  expect(Date.now()).toBe(0)
  expect((await verifyDetached(request)).signers).toHaveLength(1)
})

test('what a key signed before its birth or after its expiry does not count', async () => {
  const created = new Date('2024-01-01T00:00:00Z')
  const pair = await oddPair({ curve: 'ed25519Legacy', created, lifeSeconds: 86_400 })
  const verifyAt = async (date: string) => {
    const signatures = await oddSignature(pair, { date: new Date(date) })
    return verifyDetached({ bytes, signatures, trusted: [pair.cert] })
  }
  expect((await verifyAt('2024-01-01T23:00:00Z')).signers).toHaveLength(1)
  await expect(verifyAt('2024-01-03T00:00:00Z')).rejects.toThrow(refused('0 of 1 count'))
  await expect(verifyAt('2023-12-31T00:00:00Z')).rejects.toThrow(refused('0 of 1 count'))
})

test('with a clock, a signature from more than 24 h ahead does not count', async () => {
  const signatures = await signDetached(bytes, [signer.key])
  const trusted = [signer.cert]
  const [claim] = await describeSignatures(signatures)
  const created = claim?.created?.getTime() ?? 0
  const at = (ms: number) => verifyDetached({ bytes, signatures, trusted, now: new Date(ms) })
  expect((await at(created - 24 * HOUR_MS)).signers).toHaveLength(1)
  await expect(at(created - 24 * HOUR_MS - 1)).rejects.toThrow(refused('more than 24 h from now'))
  expect((await at(created + 10_000 * HOUR_MS)).signers).toHaveLength(1)
})

test('a key revoked as compromised verifies nothing, as superseded what it signed', async () => {
  const signatures = await signDetached(bytes, [signer.key])
  const revoked = async (flag: enums.reasonForRevocation) => {
    const { privateKey } = await revokeKey({
      key: signer.key,
      reasonForRevocation: { flag },
      date: new Date(Date.now() + 10_000),
      format: 'object',
      config: openpgpConfig,
    })
    return pairOfKey(privateKey).cert
  }
  const superseded = await revoked(enums.reasonForRevocation.keySuperseded)
  const request = { bytes, signatures }
  expect((await verifyDetached({ ...request, trusted: [superseded] })).signers).toHaveLength(1)
  const compromised = await revoked(enums.reasonForRevocation.keyCompromised)
  await expect(verifyDetached({ ...request, trusted: [compromised] })).rejects.toThrow(
    refused('Primary key is revoked'),
  )
})

test('an unknown version beside a good signature does no harm', async () => {
  const unknown = Uint8Array.of(0xc2, 3, 9, 0, 0)
  const good = await signDetached(bytes, [signer.key])
  const trusted = [signer.cert]
  const signatures = Buffer.concat([unknown, good])
  expect((await verifyDetached({ bytes, signatures, trusted })).signers).toHaveLength(1)
  await expect(verifyDetached({ bytes, signatures: unknown, trusted })).rejects.toThrow(
    refused('signature that cannot be read'),
  )
})

test('more than 16 signatures, or none, are refused', async () => {
  const one = await signDetached(bytes, [signer.key])
  const trusted = [signer.cert]
  const many = (count: number) => Buffer.concat(Array(count).fill(one))
  const verify = (count: number) => verifyDetached({ bytes, signatures: many(count), trusted })
  expect((await verify(16)).signers).toHaveLength(1)
  await expect(verify(17)).rejects.toThrow(expect.objectContaining({ code: 'limit' }))
  await expect(verify(0)).rejects.toThrow(expect.objectContaining({ code: 'format' }))
})

test('signers are described without any key', async () => {
  const signatures = Buffer.concat([
    await signDetached(bytes, [signer.key, second.key]),
    Uint8Array.of(0xc2, 3, 9, 0, 0),
  ])
  expect(await describeSignatures(signatures)).toEqual([
    { issuer: fingerprintOf(signer.cert), created: expect.any(Date) },
    { issuer: fingerprintOf(second.cert), created: expect.any(Date) },
    { issuer: undefined, created: undefined },
  ])
})

test('a key that cannot sign is refused with a hint', async () => {
  const pair = await oddPair({ type: 'rsa', rsaBits: 2048 })
  await expect(signDetached(bytes, [pair.key])).rejects.toThrow(
    expect.objectContaining({ code: 'signature', hints: [expect.stringContaining('Ed25519')] }),
  )
})
