/**
 * Keys of many kinds for tests, made once per test file.
 */
import { generateKey, type PrivateKey } from 'openpgp'
import {
  type Certificate,
  generateKeys,
  type NewKeysOptions,
  readCertificates,
  readSecretKeys,
  type SecretKey,
} from '../../src/encrypt/keys.ts'
import { openpgpConfig } from '../../src/encrypt/openpgp-config.ts'

export const keyFile = (text: string | Uint8Array, place = 'test.key') => ({
  bytes: typeof text === 'string' ? Buffer.from(text) : text,
  place,
})

export function first<Item>(items: readonly Item[]): Item {
  const [item] = items
  if (item === undefined) throw new Error('nothing there')
  return item
}

export interface KeyPair {
  readonly key: SecretKey
  readonly cert: Certificate
}

export async function pairOf(secret: string | Uint8Array): Promise<KeyPair> {
  const key = first(await readSecretKeys(keyFile(secret)))
  return { key, cert: first(await readCertificates(keyFile(secret))) }
}

/** A signer and a recipient as `osflash keygen` makes them. */
export async function newPairs(options: NewKeysOptions = {}) {
  const keys = await generateKeys(options)
  return { signer: await pairOf(keys.signerKey), recipient: await pairOf(keys.recipientKey) }
}

interface OddKey {
  readonly type?: 'ecc' | 'rsa' | 'curve25519' | 'curve448'
  readonly curve?: 'nistP256' | 'nistP384' | 'nistP521' | 'ed25519Legacy'
  readonly rsaBits?: number
  readonly v6Keys?: boolean
  readonly created?: Date
  readonly lifeSeconds?: number
  readonly signingSubkey?: boolean
}

/** A key that `osflash keygen` would not make. */
export async function oddPair(options: OddKey): Promise<KeyPair> {
  const kind = {
    type: options.type ?? ('ecc' as const),
    ...(options.curve === undefined ? {} : { curve: options.curve }),
    ...(options.rsaBits === undefined ? {} : { rsaBits: options.rsaBits }),
  }
  const { privateKey } = await generateKey({
    ...kind,
    userIDs: [{ name: 'odd' }],
    format: 'object',
    subkeys: [{ sign: options.signingSubkey ?? false }],
    ...(options.created === undefined ? {} : { date: options.created }),
    ...(options.lifeSeconds === undefined ? {} : { keyExpirationTime: options.lifeSeconds }),
    config: {
      ...openpgpConfig,
      minRSABits: 1024,
      rejectCurves: new Set(),
      v6Keys: options.v6Keys ?? false,
    },
  })
  return pairOfKey(privateKey)
}

export function pairOfKey(key: PrivateKey): KeyPair {
  return { key, cert: key.toPublic() }
}
