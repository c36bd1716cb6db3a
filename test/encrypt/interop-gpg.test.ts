import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fingerprintOf, isLocked, unlockKey } from '../../src/encrypt/keys.ts'
import {
  decryptSessionKey,
  encryptSessionKey,
  generateSessionKey,
} from '../../src/encrypt/session-key.ts'
import { describeSignatures, signDetached, verifyDetached } from '../../src/encrypt/signature.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { answers } from './installed.ts'
import { newPairs, pairOf } from './key-ring.ts'

const installed = await answers(['gpg', '--version'])
const bytes = Buffer.from('{"format":"osflash-image/1"}')

describe.skipIf(!installed)(installed ? 'gpg' : 'gpg: not installed', () => {
  let home: Scratch
  const at = (name: string) => join(home.path, name)

  beforeAll(async () => {
    home = await makeScratch('gpg')
    await chmod(home.path, 0o700)
    await writeFile(at('manifest'), bytes)
  })

  afterAll(async () => {
    if (home === undefined) return
    await run(['gpgconf', '--kill', 'all'], { env: { GNUPGHOME: home.path } })
    await home[Symbol.asyncDispose]()
  })

  const gpg = (...args: string[]) =>
    run(['gpg', '--batch', '--yes', '--pinentry-mode', 'loopback', ...args], {
      env: { GNUPGHOME: home.path },
    })

  async function newKey(name: string, algorithm: string, passphrase = '') {
    const secret = ['--passphrase', passphrase]
    await gpg(...secret, '--quick-generate-key', name, algorithm, 'default', 'never')
    await gpg(...secret, '--output', at(`${name}.key`), '--export-secret-keys', `=${name}`)
    return pairOf(await readFile(at(`${name}.key`)))
  }

  test.each(['future-default', 'rsa3072'])('%s keys: signer on both sides', async (algorithm) => {
    const name = `signer-${algorithm}`
    const pair = await newKey(name, algorithm)
    expect(pair.cert.keyPacket.version).toBe(4)
    await gpg('--local-user', `=${name}`, '--output', at('sig'), '--detach-sign', at('manifest'))
    const signatures = await readFile(at('sig'))
    const request = { bytes, signatures, trusted: [pair.cert] }
    const { signers } = await verifyDetached(request)
    expect(signers[0]?.primaryFingerprint).toBe(fingerprintOf(pair.cert))
    expect((await describeSignatures(signatures))[0]?.issuer).toBe(signers[0]?.fingerprint)
    const { signer: stranger } = await newPairs()
    await expect(verifyDetached({ ...request, trusted: [stranger.cert] })).rejects.toThrow(
      expect.objectContaining({ code: 'signature' }),
    )

    await writeFile(at('our.sig'), await signDetached(bytes, [pair.key]))
    await gpg('--verify', at('our.sig'), at('manifest'))
    await writeFile(at('other'), 'other')
    await expect(gpg('--verify', at('our.sig'), at('other'))).rejects.toThrow(
      expect.objectContaining({ code: 'process' }),
    )
  })

  test.each(['SHA1', 'SHA224'])('a %s signature does not count', async (digest) => {
    const name = `weak-${digest}`
    const pair = await newKey(name, 'rsa3072')
    const weak = ['--digest-algo', digest, '--local-user', `=${name}`]
    await gpg(...weak, '--output', at('weak.sig'), '--detach-sign', at('manifest'))
    const signatures = await readFile(at('weak.sig'))
    await expect(verifyDetached({ bytes, signatures, trusted: [pair.cert] })).rejects.toThrow(
      expect.objectContaining({
        code: 'signature',
        message: expect.stringContaining('hash algorithm'),
      }),
    )
  })

  test.each(['future-default', 'default'])('%s keys: recipient', async (algorithm) => {
    const name = `recipient-${algorithm}`
    const pair = await newKey(name, algorithm)
    const sessionKey = generateSessionKey()
    const keysPgp = await encryptSessionKey(sessionKey, [pair.cert])
    expect(Buffer.compare(await decryptSessionKey(keysPgp, [pair.key]), sessionKey)).toBe(0)
  })

  test('a key with a passphrase is unlocked, a wrong one refused', async () => {
    const { key } = await newKey('locked', 'future-default', 'correct horse')
    expect(isLocked(key)).toBe(true)
    const unlocked = await unlockKey(key, 'correct horse')
    const signatures = await signDetached(bytes, [unlocked])
    expect((await verifyDetached({ bytes, signatures, trusted: [key] })).signers).toHaveLength(1)
    await expect(unlockKey(key, 'battery staple')).rejects.toThrow(
      expect.objectContaining({ code: 'decryption' }),
    )
  })
})
