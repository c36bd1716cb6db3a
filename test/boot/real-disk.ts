/**
 * The way of a build to a disk: packed, sealed, signed, checked and unpacked, as a user's image.
 *
 * 1. Keys are made for each disk; the image and its keys are removed with the folder.
 * 2. The disk is read back after writing, and its partition that grows takes what is left.
 */
import { join } from 'node:path'
import { openFileSource } from '../../src/deliver/file.ts'
import { generateKeys, readCertificates, readSecretKeys } from '../../src/encrypt/keys.ts'
import { verifyDetached } from '../../src/encrypt/signature.ts'
import { packImage } from '../../src/pack/image/pack.ts'
import type { ImageSource } from '../../src/pack/source.ts'
import { unpackDisk } from '../../src/unpack/unpack-disk.ts'

const quiet = () => undefined

/** Packs `source` and unpacks it to a new disk file of `bytes` bytes in `folder`. */
export async function makeRealDisk(
  source: ImageSource,
  folder: string,
  bytes: number,
): Promise<string> {
  const keys = await generateKeys({ name: 'boot test' })
  const file = (text: string) => ({ bytes: Buffer.from(text), place: 'a new key' })
  const output = join(folder, 'image.osimg')
  await packImage(source, {
    output,
    recipients: await readCertificates(file(keys.recipientCert)),
    signers: await readSecretKeys(file(keys.signerKey)),
    emit: quiet,
  })
  const trusted = await readCertificates(file(keys.signerCert))
  await using image = await openFileSource(output)
  const to = join(folder, 'disk.img')
  await unpackDisk({
    source: image,
    check: async (manifest, signatures) => {
      const { signers } = await verifyDetached({ bytes: manifest, signatures, trusted })
      return signers
    },
    identities: await readSecretKeys(file(keys.recipientKey)),
    to,
    fileBytes: bytes,
    overwrite: false,
    resume: false,
    verify: true,
    checkpointPath: `${to}.checkpoint`,
    emit: quiet,
  })
  return to
}
