/**
 * The session key of an image and who may have it: `keys.pgp` (RFC 9580, section 5.1).
 *
 * 1. An image has one session key of 32 octets. `keys.pgp` is a run of PKESK packets, each with
 *    that key for one recipient; 1 to 1,024 packets of at most 64 KiB, nothing else.
 * 2. New packets are version 6, which RFC 9580 pairs with SEIPD version 2, for version 4 keys
 *    too. Version 3 packets are read.
 * 3. A packet names its recipient by the fingerprint of the encryption (sub)key, or not at all.
 *    Only packets that name one of our keys, or nobody, are tried.
 * 4. Adding and removing recipients cuts and joins octets; no payload is touched.
 *
 * Not promised: that a removed recipient forgets the session key.
 */
import { randomBytes } from 'node:crypto'
import { decryptSessionKeys, encryptSessionKey as encryptTo, readMessage } from 'openpgp'
import { messageOf, OsflashError } from '../errors.ts'
import { enforce } from '../format/limits.ts'
import { type Certificate, fingerprintOf, isLocked, lockedKey, type SecretKey } from './keys.ts'
import { openpgpConfig } from './openpgp-config.ts'
import { cutRecipients, type Recipient, recipientText } from './recipient.ts'

const SESSION_KEY_BYTES = 32

/** A new session key. */
export function generateSessionKey(): Uint8Array {
  return randomBytes(SESSION_KEY_BYTES)
}

/**
 * `keys.pgp` for these certificates, one packet each, in their order.
 * @throws OsflashError `refused` for a certificate without a valid encryption key, `limit`
 */
export async function encryptSessionKey(
  sessionKey: Uint8Array,
  certificates: readonly Certificate[],
): Promise<Uint8Array> {
  enforce('recipients', certificates.length, 'keys.pgp')
  const packets: Uint8Array[] = []
  for (const certificate of certificates) packets.push(await encryptOnce(sessionKey, certificate))
  return Buffer.concat(packets)
}

async function encryptOnce(sessionKey: Uint8Array, certificate: Certificate): Promise<Uint8Array> {
  if (sessionKey.length !== SESSION_KEY_BYTES) throw new RangeError('a session key has 32 octets')
  try {
    return await encryptTo({
      data: sessionKey,
      algorithm: 'aes256',
      // An AEAD algorithm asks for a version 6 packet; the segment says which one is used.
      aeadAlgorithm: 'ocb',
      encryptionKeys: certificate,
      format: 'binary',
      config: openpgpConfig,
    })
  } catch (cause) {
    const fingerprint = fingerprintOf(certificate)
    const why = messageOf(cause)
    throw new OsflashError('refused', `encrypting to ${fingerprint}: ${why}`, {
      cause,
      data: { fingerprint },
      hints: ['give a certificate with an encryption key that is valid now (recipient.pub)'],
    })
  }
}

/**
 * Finds the session key with any of these secret keys.
 *
 * @throws OsflashError `decryption` when none fits (data: the recipients of the image) or the
 *   fitting one is locked; `format`, `limit` when the member is no run of PKESK packets
 */
export async function decryptSessionKey(
  keysPgp: Uint8Array,
  keys: readonly SecretKey[],
): Promise<Uint8Array> {
  const recipients = cutRecipients(keysPgp)
  let locked: SecretKey | undefined
  for (const recipient of recipients) {
    for (const key of keys.filter((one) => concerns(recipient, one))) {
      if (isLocked(key)) locked ??= key
      else {
        const sessionKey = await tryDecrypt(recipient, key)
        if (sessionKey !== undefined) return sessionKey
      }
    }
  }
  throw locked === undefined ? noKeyFits(recipients) : lockedKey(locked)
}

async function tryDecrypt(recipient: Recipient, key: SecretKey): Promise<Uint8Array | undefined> {
  try {
    const found = await decryptSessionKeys({
      message: await readMessage({ binaryMessage: recipient.packet, config: openpgpConfig }),
      decryptionKeys: key,
      config: openpgpConfig,
    })
    const [sessionKey, second] = found
    if (sessionKey === undefined || second !== undefined) return undefined
    // Version 3 packets say which cipher the key is for.
    if (sessionKey.algorithm !== null && sessionKey.algorithm !== 'aes256') return undefined
    return sessionKey.data.length === SESSION_KEY_BYTES ? sessionKey.data : undefined
  } catch {
    return undefined
  }
}

/**
 * Who may decrypt, in the order of the packets.
 * @throws OsflashError `format`, `limit`
 */
export function listRecipients(keysPgp: Uint8Array): readonly Recipient[] {
  return cutRecipients(keysPgp)
}

/** What `addRecipients` adds. */
export interface NewRecipients {
  readonly sessionKey: Uint8Array
  readonly certificates: readonly Certificate[]
}

/**
 * `keys.pgp` with more recipients after those it has; who has a packet gets no second one.
 * @throws OsflashError `refused`, `format`, `limit`
 */
export async function addRecipients(keysPgp: Uint8Array, more: NewRecipients): Promise<Uint8Array> {
  const present = cutRecipients(keysPgp)
  const missing = more.certificates.filter(
    (certificate) => !present.some((one) => one.name !== undefined && names(one, certificate)),
  )
  enforce('recipients', present.length + missing.length, 'keys.pgp')
  const added = await encryptSessionKey(more.sessionKey, missing)
  return Buffer.concat([keysPgp, added])
}

/**
 * `keys.pgp` without the recipients of these fingerprints or key IDs (any case).
 *
 * @param fingerprints of encryption (sub)keys, as `listRecipients` gives them
 * @throws OsflashError `refused` when a fingerprint is not there or nobody would be left
 */
export function removeRecipients(keysPgp: Uint8Array, fingerprints: readonly string[]): Uint8Array {
  const recipients = cutRecipients(keysPgp)
  const unwanted = new Set(fingerprints.map((one) => one.toUpperCase()))
  const left = recipients.filter((one) => one.name === undefined || !unwanted.has(one.name))
  const missing = [...unwanted].filter((name) => !recipients.some((one) => one.name === name))
  if (missing.length > 0) {
    throw new OsflashError(
      'refused',
      `removing recipient ${missing.join(', ')}: not in the image`,
      {
        data: { recipients: recipients.map(recipientText).join('\n') },
        hints: recipients.map((one) => `recipient of the image: ${recipientText(one)}`),
      },
    )
  }
  if (left.length === 0) {
    throw new OsflashError('refused', 'removing recipients: nobody could decrypt the image', {
      hints: ['add a recipient first: osflash rewrap IMAGE --add CERT'],
    })
  }
  return Buffer.concat(left.map((one) => one.packet))
}

function concerns(recipient: Recipient, key: SecretKey): boolean {
  return recipient.name === undefined || names(recipient, key)
}

function names(recipient: Recipient, certificate: Certificate): boolean {
  return [certificate, ...certificate.subkeys].some(
    (component) =>
      fingerprintOf(component) === recipient.name ||
      component.getKeyID().toHex().toUpperCase() === recipient.name,
  )
}

function noKeyFits(recipients: readonly Recipient[]): OsflashError {
  const list = recipients.map(recipientText)
  return new OsflashError('decryption', 'decrypting keys.pgp: no secret key given fits', {
    data: { recipients: list.join('\n') },
    hints: list.slice(0, 8).map((one) => `recipient of the image: ${one}`),
  })
}
