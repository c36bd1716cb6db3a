/**
 * OpenPGP keys: making, reading, unlocking (RFC 9580, section 10).
 *
 * 1. New keys are version 6: a signer is one Ed25519 key; a recipient is an Ed25519 key that
 *    binds an X25519 subkey. Each is written as armored text.
 * 2. Files may be armored (several blocks after another too) or binary, and hold many keys.
 *    Version 4 keys of gpg and sq are taken as they are.
 * 3. A passphrase unlocks the secret parts in memory; the file stays as it is.
 *
 * Not promised: that a key is valid at any time, or trusted: signature.ts and session-key.ts
 * decide that with the use in hand.
 */
import { decryptKey, generateKey, type Key, type PrivateKey, readKeys, type Subkey } from 'openpgp'
import { OsflashError } from '../errors.ts'
import { openpgpConfig } from './openpgp-config.ts'

/** A public key with its subkeys and bindings. */
export type Certificate = Key
/** A certificate with secret parts, locked or not. */
export type SecretKey = PrivateKey

export interface NewKeysOptions {
  /** Becomes the user ID of both keys; without it they have none. */
  readonly name?: string
  /** Locks both keys. */
  readonly passphrase?: string
}

/** Armored keys; the two `Key` texts are secret. */
export interface NewKeys {
  readonly signerKey: string
  readonly signerCert: string
  readonly recipientKey: string
  readonly recipientCert: string
}

/** Makes a signing key and a recipient key, version 6. */
export async function generateKeys(options: NewKeysOptions = {}): Promise<NewKeys> {
  const shared = {
    type: 'curve25519',
    userIDs: options.name === undefined ? [] : [{ name: options.name }],
    format: 'armored',
    config: openpgpConfig,
    ...(options.passphrase === undefined ? {} : { passphrase: options.passphrase }),
  } as const
  const signer = await generateKey({ ...shared, subkeys: [] })
  const recipient = await generateKey({ ...shared, subkeys: [{ type: 'curve25519' }] })
  return {
    signerKey: signer.privateKey,
    signerCert: signer.publicKey,
    recipientKey: recipient.privateKey,
    recipientCert: recipient.publicKey,
  }
}

/** The content of a key file and its name. */
export interface KeyFile {
  readonly bytes: Uint8Array
  /** For errors. */
  readonly place: string
}

/**
 * All certificates of a file; of secret keys only the public part.
 * @throws OsflashError `trust` when the file holds none
 */
export async function readCertificates(file: KeyFile): Promise<readonly Certificate[]> {
  const keys = await readAll(file)
  return keys.map((key) => key.toPublic())
}

/**
 * All secret keys of a file, still locked where a passphrase protects them.
 * @throws OsflashError `trust` when the file holds none
 */
export async function readSecretKeys(file: KeyFile): Promise<readonly SecretKey[]> {
  const keys = (await readAll(file)).filter((key) => key.isPrivate())
  if (keys.length > 0) return keys
  throw new OsflashError('trust', `reading ${file.place}: only certificates, no secret key`, {
    hints: ['give the secret key (recipient.key, signer.key), not its certificate (.pub)'],
  })
}

/** True when a passphrase is needed before use. */
export function isLocked(key: SecretKey): boolean {
  return !key.isDecrypted()
}

/**
 * Unlocks a key in memory; one that is not locked is given back.
 * @throws OsflashError `decryption` when the passphrase is not this key's
 */
export async function unlockKey(key: SecretKey, passphrase: string): Promise<SecretKey> {
  if (!isLocked(key)) return key
  try {
    return await decryptKey({ privateKey: key, passphrase, config: openpgpConfig })
  } catch (cause) {
    const fingerprint = fingerprintOf(key)
    throw new OsflashError('decryption', `unlocking key ${fingerprint}: wrong passphrase`, {
      cause,
      data: { fingerprint },
      hints: ['give the passphrase of this key; a line end after it in a file does not count'],
    })
  }
}

/** The error of a locked key that is used. */
export function lockedKey(key: SecretKey): OsflashError {
  const fingerprint = fingerprintOf(key)
  return new OsflashError('decryption', `using key ${fingerprint}: it is locked`, {
    data: { fingerprint },
    hints: ['give its passphrase with --passphrase-file'],
  })
}

/** Fingerprint in upper-case hexadecimal: 40 digits (version 4) or 64 (version 6). */
export function fingerprintOf(key: Certificate | Subkey): string {
  return key.getFingerprint().toUpperCase()
}

/** Fingerprints of a key and all its subkeys, the key's own first. */
export function fingerprintsOf(key: Certificate): readonly string[] {
  return [fingerprintOf(key), ...key.subkeys.map(fingerprintOf)]
}

async function readAll(file: KeyFile): Promise<readonly Key[]> {
  try {
    const lists = await Promise.all(keyBlocks(file.bytes).map(readBlock))
    return lists.flat()
  } catch (cause) {
    throw new OsflashError('trust', `reading ${file.place}: no OpenPGP key`, {
      cause,
      hints: ['give an OpenPGP key, armored or binary: osflash keygen --out DIR makes one'],
    })
  }
}

const ARMOR_BLOCK = /-----BEGIN PGP [\s\S]*?-----END PGP [^\n]*/g

/** Armored text holds several blocks when files were put after another; a library reads one. */
function keyBlocks(bytes: Uint8Array): readonly (string | Uint8Array)[] {
  // The first octet of a binary packet has its high bit set; text has not.
  if ((bytes[0] ?? 0) >= 0x80) return [bytes]
  const blocks = Buffer.from(bytes).toString('utf8').match(ARMOR_BLOCK)
  if (blocks === null) throw new Error('no armored block')
  return blocks
}

function readBlock(block: string | Uint8Array): Promise<readonly Key[]> {
  return typeof block === 'string'
    ? readKeys({ armoredKeys: block, config: openpgpConfig })
    : readKeys({ binaryKeys: block, config: openpgpConfig })
}
