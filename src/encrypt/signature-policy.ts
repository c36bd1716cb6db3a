/**
 * Which signature packets are read, and which may count.
 *
 * 1. `readSignatures` cuts the member and parses each packet by itself, so that one packet of an
 *    unknown version does not hide the others.
 * 2. `signatureFault` looks at what the packet says: type, version, hash, algorithm.
 * 3. `componentFault` looks at the key that is to verify it: kind, size, curve, fingerprint.
 *
 * Not promised: any cryptographic check; signature.ts does those.
 */
import { enums, type Key, type KeyID, readSignature, type Signature, type Subkey } from 'openpgp'
import { messageOf } from '../errors.ts'
import { fingerprintOf } from './keys.ts'
import { openpgpConfig } from './openpgp-config.ts'
import { type CutPacket, cutPackets } from './packet-list.ts'

/** A packet that could be parsed. */
export interface ReadSignature {
  readonly kind: 'read'
  readonly parsed: Signature
  readonly version: number
  readonly type: number | null
  readonly hash: number | null
  readonly algorithm: number | null
  readonly created: Date
  readonly expires: Date | undefined
  readonly keyId: KeyID
  /** Fingerprint, or key ID where no fingerprint is named; upper-case hexadecimal. */
  readonly issuer: string
  readonly issuerFingerprint: string | undefined
}

/** A packet that this program does not understand. */
export interface UnreadSignature {
  readonly kind: 'unread'
  readonly why: string
}

export type OneSignature = ReadSignature | UnreadSignature

const SIGNATURE_RULE = {
  tag: 2,
  place: 'manifest.json.sig',
  countLimit: 'signatures',
  bytesLimit: 'signatureBytes',
} as const

const HASHES: ReadonlySet<number | null> = new Set([
  enums.hash.sha256,
  enums.hash.sha384,
  enums.hash.sha512,
  enums.hash.sha3_256,
  enums.hash.sha3_512,
])
const ECDSA_CURVES: ReadonlySet<string | undefined> = new Set(['nistP256', 'nistP384'])
const RSA: ReadonlySet<string> = new Set(['rsaEncryptSign', 'rsaSign'])
const ED25519: ReadonlySet<string> = new Set(['ed25519', 'eddsaLegacy'])

/**
 * Cuts and parses `manifest.json.sig`.
 * @throws OsflashError `format`, `limit`
 */
export async function readSignatures(bytes: Uint8Array): Promise<readonly OneSignature[]> {
  return Promise.all(cutPackets(bytes, SIGNATURE_RULE).map(readOne))
}

async function readOne({ packet }: CutPacket): Promise<OneSignature> {
  try {
    const parsed = await readSignature({
      // OpenPGP.js keeps views: a copy cannot change between two looks.
      binarySignature: packet.slice(),
      config: { ...openpgpConfig, ignoreUnsupportedPackets: false },
    })
    return describe(parsed)
  } catch (cause) {
    return { kind: 'unread', why: messageOf(cause) }
  }
}

function describe(parsed: Signature): OneSignature {
  const [packet, second] = parsed.packets
  if (packet === undefined || second !== undefined) return { kind: 'unread', why: 'not one packet' }
  if (packet.created === null) return { kind: 'unread', why: 'no creation time' }
  const expires = packet.getExpirationTime()
  const { issuerFingerprint: octets } = packet
  const issuerFingerprint = octets ? Buffer.from(octets).toString('hex').toUpperCase() : undefined
  return {
    kind: 'read',
    parsed,
    version: packet.version,
    type: packet.signatureType,
    hash: packet.hashAlgorithm,
    algorithm: packet.publicKeyAlgorithm,
    created: packet.created,
    expires: expires instanceof Date ? expires : undefined,
    keyId: packet.issuerKeyID,
    issuer: issuerFingerprint ?? packet.issuerKeyID.toHex().toUpperCase(),
    issuerFingerprint,
  }
}

/** Why a packet may not count, whoever made it. */
export function signatureFault(signature: ReadSignature): string | undefined {
  if (signature.version !== 4 && signature.version !== 6) {
    return `signature version ${signature.version}`
  }
  if (signature.type !== enums.signature.binary) {
    return `signature type ${signature.type}, not of a binary document`
  }
  if (!HASHES.has(signature.hash)) return `hash algorithm ${signature.hash}, SHA-256 is the least`
  return undefined
}

/** Why a key may not verify this packet. */
export function componentFault(
  component: Key | Subkey,
  signature: ReadSignature,
): string | undefined {
  const fingerprint = fingerprintOf(component)
  if (signature.issuerFingerprint !== undefined && signature.issuerFingerprint !== fingerprint) {
    return `issued by ${signature.issuerFingerprint}, not by ${fingerprint}`
  }
  const { algorithm, bits = 0, curve } = component.getAlgorithmInfo()
  if (ED25519.has(algorithm)) return undefined
  if (algorithm === 'ecdsa' && ECDSA_CURVES.has(curve)) return undefined
  if (RSA.has(algorithm) && bits >= openpgpConfig.minRSABits) return undefined
  return `key of kind ${[algorithm, curve ?? bits].join(' ')} may not sign an image`
}
