/**
 * What `osflash verify` does.
 *
 * 1. Without an identity: signatures and all digests.
 * 2. With one: every frame, down to its raw bytes.
 */
import { openSource } from '../../deliver/open.ts'
import { formatBytes } from '../../units.ts'
import type { DecodeThreads } from '../../unpack/decode-threads.ts'
import { verifyImage } from '../../unpack/verify.ts'
import { counted } from '../count.ts'
import { secretKeysOf, trustOf } from '../key-files.ts'
import type { ReadingOptions } from '../shared-options.ts'
import type { VerbContext } from '../verb.ts'

interface VerifyVerbOptions extends ReadingOptions {
  /** Started while this module was loaded. */
  readonly threads: DecodeThreads
}

/** @throws OsflashError `signature`, `digest`, `decryption`, `format` and what reading gives */
export async function verify(
  path: string,
  options: VerifyVerbOptions,
  context: VerbContext,
): Promise<void> {
  const check = await trustOf(options)
  const { emit, signal } = context
  const { passphraseFile, identity = [] } = options
  const identities = await secretKeysOf(identity, { passphraseFile, signal })
  await using source = await openSource(path, { signal })
  const { image, ...counts } = await verifyImage({
    source,
    check,
    identities,
    emit,
    signal,
    threads: options.threads,
  })
  const signers = image.signers.map((signer) => signer.primaryFingerprint)
  const report = { path, ok: true, signers, ...counts }
  const by = signers.length === 0 ? 'signature not checked' : `signed by ${signers.join(', ')}`
  const frames = counts.frames === 0 ? '' : `, ${counted(counts.frames, 'frame')} opened`
  const blocks = counted(counts.blocks, 'block')
  const amount = `${formatBytes(counts.packedBytes)} packed, ${blocks}${frames}`
  const text = `${path}: whole, ${amount}; ${by}\n`
  context.stdout.write(context.json ? `${JSON.stringify(report)}\n` : text)
}
