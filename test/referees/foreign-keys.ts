import { createHash, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fingerprintOf } from '../../src/encrypt/keys.ts'
import {
  decryptSessionKey,
  encryptSessionKey,
  generateSessionKey,
} from '../../src/encrypt/session-key.ts'
import { signDetached, verifyDetached } from '../../src/encrypt/signature.ts'
import { makeScratch, type Scratch } from '../../src/system/scratch.ts'
import { newPairs, pairOf } from '../encrypt/key-ring.ts'
import { sealSegment } from '../encrypt/whole-segment.ts'
import { ByteCounter, inRoot, REFEREES, refereeVerifies, runReferee } from './referee.ts'
import type { RefereeRoot } from './referee-root.ts'

const data = Buffer.from('{"format":"osflash-image/1"}')

const SQ_KEY = 'sq key generate --own-key --name test --without-password --rev-cert rev --overwrite'
/** Keys as the referees make them, version 4 and 6. */
const MAKERS = [
  ['sq', 4, `${SQ_KEY} --profile rfc4880 --output key`],
  ['sq', 6, `${SQ_KEY} --profile rfc9580 --output key`],
  ['rsop', 4, 'rsop generate-key --no-armor test > key'],
  ['rsop', 6, 'rsop generate-key --profile=rfc9580 test > key'],
  ['gosop', 4, 'gosop generate-key test > key'],
  ['gosop', 6, 'gosop generate-key --profile=rfc9580 test > key'],
] as const

const SIGN = {
  sq: 'sq sign --signer-file key --signature-file - data | sq packet dearmor > sig',
  rsop: 'rsop sign --no-armor key < data > sig',
  gosop: 'gosop sign --no-armor key < data > sig',
} as const

export function foreignKeysSuite(rootOf: () => RefereeRoot): void {
  let scratch: Scratch

  beforeAll(async () => {
    scratch = await makeScratch('case', join(rootOf().path, 'tmp'))
    await writeFile(at('data'), data)
  })

  afterAll(async () => {
    await scratch?.[Symbol.asyncDispose]()
  })

  const at = (name: string) => join(scratch.path, name)
  const inside = (script: string) =>
    inRoot(rootOf(), scratch.path, { script, names: [], sink: new ByteCounter() })

  test.each(MAKERS)(
    '%s, version %i: sign, verify, encrypt, decrypt',
    async (name, version, make) => {
      await inside(make)
      const pair = await pairOf(await readFile(at('key')))
      expect(pair.cert.keyPacket.version).toBe(version)
      await writeFile(at('cert'), pair.cert.armor())

      await inside(SIGN[name])
      const signatures = await readFile(at('sig'))
      const { signers } = await verifyDetached({ bytes: data, signatures, trusted: [pair.cert] })
      expect(signers[0]?.primaryFingerprint).toBe(fingerprintOf(pair.cert))
      const { signer } = await newPairs()
      await expect(
        verifyDetached({ bytes: data, signatures, trusted: [signer.cert] }),
      ).rejects.toThrow(expect.objectContaining({ code: 'signature' }))

      await writeFile(at('our.sig'), await signDetached(data, [pair.key]))
      const sessionKey = generateSessionKey()
      const keys = await encryptSessionKey(sessionKey, [pair.cert])
      expect(Buffer.compare(await decryptSessionKey(keys, [pair.key]), sessionKey)).toBe(0)
      const body = randomBytes(1000)
      await writeFile(at('keys.pgp'), keys)
      await writeFile(at('segment'), sealSegment(sessionKey, body, { chunkOctet: 12 }))
      for (const referee of REFEREES) {
        const names = ['data', 'our.sig', 'cert'] as const
        await refereeVerifies(referee, rootOf(), { folder: scratch.path, names })
        const sink = new ByteCounter()
        const files = { keys: 'keys.pgp', segment: 'segment', recipientKey: 'key' }
        const job = { folder: scratch.path, ...files, codec: 'none' as const }
        await runReferee(referee, rootOf(), { job, sink })
        expect(sink.sha256()).toBe(createHash('sha256').update(body).digest('hex'))
      }
    },
  )
}
