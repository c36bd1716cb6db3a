/**
 * Detached OpenPGP signatures of a manifest: `manifest.json.sig` (RFC 9580, section 5.2).
 *
 * 1. The member is cut into at most 16 signature packets of at most 16 KiB.
 * 2. Each packet must be a binary-document signature with SHA-256 or better, by Ed25519, RSA of
 *    3072 bits or more, or ECDSA on P-256 or P-384.
 * 3. Its issuer must be one of the pinned certificates or a subkey that such a certificate binds
 *    for signing, both ways.
 * 4. Distinct primary keys are counted against the threshold. Others may have signed as well;
 *    they neither help nor harm.
 *
 * Time: everything is judged at the signature's own creation time, never by the clock, because
 * a rescue may wake in 1970 and a key may expire between staging and rescue. So an expired key
 * still verifies what it signed while valid, and a key revoked as superseded or retired what it
 * signed before; a key revoked as compromised verifies nothing. With `now` (given only when a
 * replacement starts) a signature from the future or with an expiry in the past does not count.
 *
 * Not promised: that the signer's clock was right, or that a leaked key did not date back; pin
 * other keys then.
 */
import { createMessage, sign, verify } from 'openpgp'
import { messageOf, OsflashError } from '../errors.ts'
import { type Certificate, fingerprintOf, isLocked, lockedKey, type SecretKey } from './keys.ts'
import { openpgpConfig } from './openpgp-config.ts'
import type { OneSignature, ReadSignature, UnreadSignature } from './signature-policy.ts'
import { componentFault, readSignatures, signatureFault } from './signature-policy.ts'

/** A signature's creation time may be this far ahead of the clock. */
const CLOCK_SKEW_MS = 24 * 60 * 60 * 1000

/**
 * One binary signature per key, one after another.
 * @throws OsflashError `decryption` for a locked key, `signature` for one that cannot sign
 */
export async function signDetached(
  bytes: Uint8Array,
  keys: readonly SecretKey[],
): Promise<Uint8Array> {
  const packets: Uint8Array[] = []
  for (const key of keys) packets.push(await signOnce(bytes, key))
  return Buffer.concat(packets)
}

async function signOnce(bytes: Uint8Array, key: SecretKey): Promise<Uint8Array> {
  if (isLocked(key)) throw lockedKey(key)
  const message = await createMessage({ binary: bytes })
  try {
    return await sign({
      message,
      signingKeys: key,
      detached: true,
      format: 'binary',
      config: openpgpConfig,
    })
  } catch (cause) {
    const fingerprint = fingerprintOf(key)
    throw new OsflashError('signature', `signing with key ${fingerprint}: ${messageOf(cause)}`, {
      cause,
      data: { fingerprint },
      hints: ['choose a key that may sign and has not expired: Ed25519, RSA 3072, P-256, P-384'],
    })
  }
}

export interface VerifyRequest {
  /** The exact octets that were signed. */
  readonly bytes: Uint8Array
  /** The octets of `manifest.json.sig`. */
  readonly signatures: Uint8Array
  /** The pinned certificates. */
  readonly trusted: readonly Certificate[]
  /** How many distinct primary keys must have signed; 1 unless given. */
  readonly threshold?: number
  /** Only when a replacement starts: refuses signatures dated more than 24 h ahead. */
  readonly now?: Date
}

/** A signature that counts. */
export interface VerifiedSigner {
  /** Of the key or subkey that signed; upper-case hexadecimal. */
  readonly fingerprint: string
  readonly primaryFingerprint: string
  readonly created: Date
}

export interface Verification {
  /** One per distinct primary key, in the order of the signatures. */
  readonly signers: readonly VerifiedSigner[]
}

/**
 * Checks detached signatures against pinned certificates.
 *
 * @throws OsflashError `signature` when fewer primary keys than the threshold signed, `format`
 *   and `limit` when the member is no run of signature packets
 */
export async function verifyDetached(request: VerifyRequest): Promise<Verification> {
  const threshold = request.threshold ?? 1
  if (!Number.isInteger(threshold) || threshold < 1) throw new RangeError('not a threshold')
  const signers = new Map<string, VerifiedSigner>()
  const faults: string[] = []
  for (const signature of await readSignatures(request.signatures)) {
    const outcome = await judge(signature, request)
    if (typeof outcome === 'string') faults.push(outcome)
    else if (!signers.has(outcome.primaryFingerprint)) {
      signers.set(outcome.primaryFingerprint, outcome)
    }
  }
  if (signers.size < threshold) throw tooFew(signers.size, threshold, faults)
  return { signers: [...signers.values()] }
}

/** What a signature says of itself; nothing of it is checked. */
export interface SignatureClaim {
  /** Fingerprint, or key ID where the signature names no more; upper-case hexadecimal. */
  readonly issuer: string | undefined
  readonly created: Date | undefined
}

/**
 * The issuers that signatures name, without any key: for `inspect`.
 * @throws OsflashError `format`, `limit`
 */
export async function describeSignatures(signatures: Uint8Array): Promise<SignatureClaim[]> {
  const all = await readSignatures(signatures)
  return all.map((one) =>
    one.kind === 'read'
      ? { issuer: one.issuer, created: one.created }
      : { issuer: undefined, created: undefined },
  )
}

/** The signer, or why the signature does not count. */
async function judge(
  signature: OneSignature,
  request: VerifyRequest,
): Promise<VerifiedSigner | string> {
  if (signature.kind === 'unread') return unreadFault(signature)
  const fault = signatureFault(signature) ?? timeFault(signature, request.now)
  if (fault) return `signature by ${signature.issuer}: ${fault}`
  const pinned = request.trusted.filter((cert) => names(cert, signature))
  const faults: string[] = []
  for (const certificate of pinned) {
    try {
      return await verifyWith(certificate, signature, request.bytes)
    } catch (cause) {
      faults.push(messageOf(cause))
    }
  }
  return `signature by ${signature.issuer}: ${faults[0] ?? 'no pinned certificate has this key'}`
}

async function verifyWith(
  certificate: Certificate,
  signature: ReadSignature,
  bytes: Uint8Array,
): Promise<VerifiedSigner> {
  const { created } = signature
  // Checks the binding of a subkey, its back signature, flags, revocation and expiry.
  const component = await certificate.getSigningKey(
    signature.keyId,
    created,
    undefined,
    openpgpConfig,
  )
  const fault = componentFault(component, signature)
  if (fault) throw new Error(fault)
  const verified = await verify({
    message: await createMessage({ binary: bytes }),
    signature: signature.parsed,
    verificationKeys: certificate,
    date: created,
    format: 'binary',
    config: openpgpConfig,
  })
  if (verified.signatures.length !== 1) throw new Error('not one signature')
  await verified.signatures[0]?.verified
  const primaryFingerprint = fingerprintOf(certificate)
  return { fingerprint: fingerprintOf(component), primaryFingerprint, created }
}

function names(certificate: Certificate, signature: ReadSignature): boolean {
  return certificate.getKeys(signature.keyId).length > 0
}

function timeFault(signature: ReadSignature, now: Date | undefined): string | undefined {
  if (now === undefined) return undefined
  if (signature.created.getTime() > now.getTime() + CLOCK_SKEW_MS) {
    return `created ${signature.created.toISOString()}, more than 24 h from now`
  }
  if (signature.expires !== undefined && signature.expires.getTime() <= now.getTime()) {
    return `expired ${signature.expires.toISOString()}`
  }
  return undefined
}

function unreadFault(signature: UnreadSignature): string {
  return `signature that cannot be read: ${signature.why}`
}

function tooFew(valid: number, threshold: number, faults: readonly string[]): OsflashError {
  const why = faults.length === 0 ? '' : ` (${faults.join('; ')})`
  const message = `verifying the signatures of the manifest: ${valid} of ${threshold} count${why}`
  return new OsflashError('signature', message, {
    data: { valid, threshold, faults: faults.join('\n') },
    hints: ['osflash inspect IMAGE lists who signed; --trust CERT pins a signer'],
  })
}
