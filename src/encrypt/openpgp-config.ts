/**
 * The settings under which OpenPGP.js runs: keys, signatures and PKESK packets only.
 *
 * 1. New keys are version 6 and lock with Argon2 and AEAD; version 4 keys are read as well.
 * 2. SHA-1 and weaker count nowhere, neither in signatures nor in the bindings of a key.
 * 3. RSA below 3072 bits, DSA, ElGamal and unusual curves are refused.
 *
 * Not promised: anything for bulk data, which never comes here.
 */
import { type Config, config, enums } from 'openpgp'
import { LIMITS } from '../format/limits.ts'

/** Shortest RSA key that counts, in bits. */
const RSA_BITS_MIN = 3072
/** Argon2 may ask for 1 GiB at most: a key file must not exhaust a small host. */
const ARGON2_MEMORY_EXPONENT_MAX = 20

const weakHashes = [enums.hash.md5, enums.hash.sha1, enums.hash.ripemd, enums.hash.sha224]

/** A whole configuration, so that it can be passed where OpenPGP.js wants one. */
export const openpgpConfig: Config = {
  ...config,
  v6Keys: true,
  aeadProtect: true,
  preferredAEADAlgorithm: enums.aead.ocb,
  s2kType: enums.s2k.argon2,
  maxArgon2MemoryExponent: ARGON2_MEMORY_EXPONENT_MAX,
  minRSABits: RSA_BITS_MIN,
  allowUnauthenticatedMessages: false,
  allowUnauthenticatedStream: false,
  maxDecompressedMessageSize: LIMITS.keyPacketBytes,
  rejectHashAlgorithms: new Set(weakHashes),
  rejectMessageHashAlgorithms: new Set(weakHashes),
  rejectPublicKeyAlgorithms: new Set([enums.publicKey.elgamal, enums.publicKey.dsa]),
  rejectCurves: new Set([
    enums.curve.secp256k1,
    enums.curve.nistP521,
    enums.curve.brainpoolP256r1,
    enums.curve.brainpoolP384r1,
    enums.curve.brainpoolP512r1,
  ]),
}
