/**
 * What a PKESK packet says before its secret part (RFC 9580, sections 5.1.1 and 5.1.2).
 *
 *   VERSION 3      OFFSET  SIZE   MEANING
 *                  0       1      3
 *                  1       8      key ID; zeros: nobody is named
 *                  9       1      public-key algorithm, then the encrypted session key
 *   VERSION 6      0       1      6
 *                  1       1      n: length of the next two fields; 0: nobody is named
 *                  2       1      version of the recipient's key: 4 or 6
 *                  3       n - 1  fingerprint of its encryption (sub)key: 20 or 32 octets
 *                  2 + n   1      public-key algorithm, then the encrypted session key
 *
 * Not promised: that the secret part can be decrypted by anybody.
 */
import { OsflashError } from '../errors.ts'
import { cutPackets } from './packet-list.ts'

/** One packet of `keys.pgp`. */
export interface Recipient {
  /** Version of the packet. */
  readonly version: 3 | 6
  /** Version of the recipient's key, where the packet says it. */
  readonly keyVersion: 4 | 6 | undefined
  /** Fingerprint (version 6) or key ID (version 3), upper-case; undefined: nobody is named. */
  readonly name: string | undefined
  /** Public-key algorithm (RFC 9580, section 9.1). */
  readonly algorithm: number
  /** The whole packet; a copy. */
  readonly packet: Uint8Array
}

const PKESK_RULE = {
  tag: 1,
  place: 'keys.pgp',
  countLimit: 'recipients',
  bytesLimit: 'keyPacketBytes',
} as const

const KEY_ID_BYTES = 8
const FINGERPRINT_BYTES: Readonly<Record<4 | 6, number>> = { 4: 20, 6: 32 }

/**
 * Cuts `keys.pgp`.
 * @throws OsflashError `format`, `limit`
 */
export function cutRecipients(keysPgp: Uint8Array): readonly Recipient[] {
  return cutPackets(keysPgp, PKESK_RULE).map(({ packet, body }) => {
    const head = body[0] === 3 ? readVersion3(body) : readVersion6(body)
    return { ...head, packet: packet.slice() }
  })
}

/** One line for people: fingerprint or key ID, and versions. */
export function recipientText(recipient: Recipient): string {
  const key = recipient.keyVersion === undefined ? '' : `, version ${recipient.keyVersion} key`
  return `${recipient.name ?? 'nobody named'} (PKESK version ${recipient.version}${key})`
}

function readVersion3(body: Uint8Array): Omit<Recipient, 'packet'> {
  const keyId = body.subarray(1, 1 + KEY_ID_BYTES)
  const algorithm = body[1 + KEY_ID_BYTES]
  if (algorithm === undefined) throw refused('packet cut short')
  const anonymous = keyId.every((octet) => octet === 0)
  return {
    version: 3,
    keyVersion: undefined,
    name: anonymous ? undefined : hex(keyId),
    algorithm,
  }
}

function readVersion6(body: Uint8Array): Omit<Recipient, 'packet'> {
  const [version, nameBytes = 0, keyVersion] = body
  if (version !== 6) throw refused(`PKESK version ${version ?? 'missing'}, not 3 or 6`)
  const algorithm = body[2 + nameBytes]
  if (algorithm === undefined) throw refused('packet cut short')
  if (nameBytes === 0) return { version: 6, keyVersion: undefined, name: undefined, algorithm }
  if (keyVersion !== 4 && keyVersion !== 6) throw refused(`recipient key version ${keyVersion}`)
  if (nameBytes !== 1 + FINGERPRINT_BYTES[keyVersion]) throw refused('wrong fingerprint length')
  const name = hex(body.subarray(3, 2 + nameBytes))
  return { version: 6, keyVersion, name, algorithm }
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString('hex').toUpperCase()
}

function refused(why: string): OsflashError {
  return new OsflashError('format', `reading keys.pgp: ${why}`)
}
