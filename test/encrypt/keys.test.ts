import { afterEach, expect, test, vi } from 'vitest'
import {
  fingerprintOf,
  fingerprintsOf,
  generateKeys,
  isLocked,
  readCertificates,
  readSecretKeys,
  unlockKey,
} from '../../src/encrypt/keys.ts'
import { signDetached } from '../../src/encrypt/signature.ts'
import { first, keyFile, oddPair } from './key-ring.ts'

afterEach(() => {
  vi.useRealTimers()
})

test('new keys are version 6, Ed25519 and X25519, without a user ID unless named', async () => {
  const keys = await generateKeys()
  const signer = first(await readCertificates(keyFile(keys.signerCert)))
  const recipient = first(await readCertificates(keyFile(keys.recipientCert)))
  expect([signer.keyPacket.version, recipient.keyPacket.version]).toEqual([6, 6])
  expect(signer.getAlgorithmInfo().algorithm).toBe('ed25519')
  expect(signer.subkeys).toHaveLength(0)
  expect(recipient.subkeys.map((key) => key.getAlgorithmInfo().algorithm)).toEqual(['x25519'])
  expect(signer.getUserIDs()).toEqual([])
  expect(signer.isPrivate()).toBe(false)
  expect(keys.signerCert).toMatch(/^-----BEGIN PGP PUBLIC KEY BLOCK-----/)
  expect(keys.signerKey).toMatch(/^-----BEGIN PGP PRIVATE KEY BLOCK-----/)
  const named = await generateKeys({ name: 'Build farm' })
  const namedSigner = first(await readCertificates(keyFile(named.signerCert)))
  expect(namedSigner.getUserIDs()).toEqual(['Build farm'])
})

test('fingerprints are upper-case hexadecimal, the primary key first', async () => {
  const keys = await generateKeys()
  const recipient = first(await readCertificates(keyFile(keys.recipientCert)))
  const all = fingerprintsOf(recipient)
  expect(all[0]).toBe(fingerprintOf(recipient))
  expect(all).toHaveLength(2)
  for (const one of all) expect(one).toMatch(/^[0-9A-F]{64}$/)
})

test('a file may be armored or binary, and hold many keys', async () => {
  const [a, b] = [await generateKeys(), await generateKeys()]
  const armored = keyFile(`a comment\n${a.signerCert}\n${b.signerCert}${a.recipientCert}`)
  const certs = await readCertificates(armored)
  expect(certs).toHaveLength(3)
  const binary = keyFile(Buffer.concat(certs.map((cert) => cert.write())))
  const again = await readCertificates(binary)
  expect(again.map(fingerprintOf)).toEqual(certs.map(fingerprintOf))
})

test('of a secret key the certificate is taken, never the other way round', async () => {
  const keys = await generateKeys()
  const cert = first(await readCertificates(keyFile(keys.signerKey)))
  expect(cert.isPrivate()).toBe(false)
  await expect(readSecretKeys(keyFile(keys.signerCert, 'signer.pub'))).rejects.toThrow(
    expect.objectContaining({
      code: 'trust',
      message: 'reading signer.pub: only certificates, no secret key',
    }),
  )
})

test('version 4 keys are taken', async () => {
  const { key } = await oddPair({ curve: 'ed25519Legacy' })
  const cert = first(await readCertificates(keyFile(key.armor())))
  expect(cert.keyPacket.version).toBe(4)
  expect(fingerprintOf(cert)).toMatch(/^[0-9A-F]{40}$/)
})

test.each([
  ['nothing', ''],
  ['text', 'ssh-ed25519 AAAA'],
  [
    'an armored block that is no key',
    '-----BEGIN PGP MESSAGE-----\n\nyA==\n-----END PGP MESSAGE-----',
  ],
  ['octets', Uint8Array.of(0xff, 0xff, 1, 2, 3)],
])('%s is no key', async (_, content) => {
  const file = keyFile(content, 'x.pub')
  const error = expect.objectContaining({
    code: 'trust',
    message: 'reading x.pub: no OpenPGP key',
  })
  await expect(readCertificates(file)).rejects.toThrow(error)
  await expect(readSecretKeys(file)).rejects.toThrow(error)
})

test('a passphrase locks both keys and unlocks them in memory', async () => {
  const keys = await generateKeys({ passphrase: 'correct horse' })
  for (const text of [keys.signerKey, keys.recipientKey]) {
    const locked = first(await readSecretKeys(keyFile(text)))
    expect(isLocked(locked)).toBe(true)
    const unlocked = await unlockKey(locked, 'correct horse')
    expect(isLocked(unlocked)).toBe(false)
    expect(isLocked(locked)).toBe(true)
    expect(await unlockKey(unlocked, 'anything')).toBe(unlocked)
  }
})

test('a clock of 1970 does not keep a key locked', async () => {
  const keys = await generateKeys({ passphrase: 'correct horse' })
  vi.useFakeTimers({ now: 0, toFake: ['Date'] })
  const locked = first(await readSecretKeys(keyFile(keys.recipientKey)))
  expect(isLocked(await unlockKey(locked, 'correct horse'))).toBe(false)
})

test('a wrong passphrase is refused, with the key named and a hint', async () => {
  const keys = await generateKeys({ passphrase: 'correct horse' })
  const locked = first(await readSecretKeys(keyFile(keys.signerKey)))
  const fingerprint = fingerprintOf(locked)
  await expect(unlockKey(locked, 'battery staple')).rejects.toThrow(
    expect.objectContaining({
      code: 'decryption',
      message: `unlocking key ${fingerprint}: wrong passphrase`,
      data: { fingerprint },
      hints: [expect.stringContaining('passphrase')],
    }),
  )
  await expect(signDetached(Buffer.from('x'), [locked])).rejects.toThrow(
    expect.objectContaining({ code: 'decryption', data: { fingerprint } }),
  )
})
